#!/bin/sh
# The learning curve of the published code on CIFAR-10 (three epochs, a small model), followed here:
#   sh bench/cifar10_curve.sh CIFAR_DIR RUN [SEED] [MAE]
# prints the k-NN accuracy before and after; RUN/log.jsonl has the mean loss of every hundred updates.
set -eu
cifar=$1 run=$2 seed=${3:-0} mae=${4:-build/mae}
model="--image-size 32 --patch 4 --embed-dim 128 --depth 6 --heads 4 --decoder-embed-dim 64
--decoder-depth 2 --decoder-heads 4"
schedule="--batch 128 --epochs 3 --warmup-epochs 1 --lr 1e-3 --log-every 100"
knn() {
    "$mae" knn --quiet --model "$1" --data "cifar10:$cifar:train" --val "cifar10:$cifar:test" \
        --limit first:10000 --val-limit first:2000
}
# One update at learning rate 0 leaves the initial weights in a checkpoint.
# shellcheck disable=SC2086 # lists of words
"$mae" pretrain --quiet --data "cifar10:$cifar" --out "$run.untrained" --seed "$seed" $model \
    $schedule --steps 1 > /dev/null
echo "untrained: $(knn "$run.untrained/last.safetensors")"
# shellcheck disable=SC2086
"$mae" pretrain --data "cifar10:$cifar" --out "$run" --seed "$seed" $model $schedule
echo "trained:   $(knn "$run/last.safetensors")"
grep '"kind":"step"' "$run/log.jsonl"
