#!/bin/sh
# What pre-training is worth, on CIFAR-10: one encoder (patch 4, 128 wide, 6 deep) pre-trained on the
# 50,000 training images without labels, then given 10,000 labels in every way there is, and the same
# from scratch. Prints a row a way: best top-1 on the 10,000 test images.
#   sh bench/cifar10_transfer.sh CIFAR_DIR OUT [MAE]
# Set THREADS for each run; with JOBS=2 two of them run side by side.
set -eu
cifar=$1 out=$2 mae=${3:-build/mae}
threads=${THREADS:-0} jobs=${JOBS:-1}
export OMP_WAIT_POLICY=passive
size="--image-size 32 --patch 4 --embed-dim 128 --depth 6 --heads 4"
decoder="--decoder-embed-dim 64 --decoder-depth 2 --decoder-heads 4"
sets="--data cifar10:$cifar:train --val cifar10:$cifar:test --limit first:10000"
light="--min-scale 0.4 --randaugment none --erase-prob 0 --mixup 0 --cutmix 0 --drop-path 0"
train="--batch 128 --epochs 20 --warmup-epochs 2 --min-lr 0 --weight-decay 0.05 --beta2 0.999 --ema 0
--log-every 26 --eval-every 2 --threads $threads"
pre=$out/pretrained
model=$pre/last.safetensors

# shellcheck disable=SC2086 # lists of words
"$mae" pretrain --data "cifar10:$cifar:train" --out "$pre" $size $decoder --batch 128 --epochs 30 \
    --warmup-epochs 3 --lr 1.2e-3 --log-every 100 --save-every 5 --threads "$threads"

# way NAME COMMAND ARGS...: a run in OUT/NAME, its log beside it.
way() {
    name=$1
    shift
    "$mae" "$@" --quiet --out "$out/$name" >"$out/$name.txt" 2>&1 || echo "$name failed: see $out/$name.txt"
}
# shellcheck disable=SC2086
one() {
    case $1 in
    scratch) way scratch finetune $sets $light $train --init none $size --lr 1e-3 --layer-decay 1 ;;
    all) way all finetune $sets $light $train --init "$model" --lr 1e-3 --layer-decay 0.75 ;;
    blocks-*) way "$1" finetune $sets $light $train --init "$model" --lr 1e-3 --layer-decay 0.75 \
        --tune-blocks "${1#blocks-}" ;;
    probe) way probe probe $sets --init "$model" --augment none --cache-features --batch 512 \
        --epochs 400 --warmup-epochs 10 --lr "${PROBE_LR:-16}" --eval-every 20 --log-every 100 --threads "$threads" ;;
    esac
}
queue() { for w; do one "$w"; done; }
if [ "$jobs" -gt 1 ]; then
    queue scratch blocks-2 blocks-0.5 probe &
    queue all blocks-4 blocks-1
    wait
else
    queue scratch all blocks-4 blocks-2 blocks-1 blocks-0.5 probe
fi

echo "way              best top-1 on CIFAR-10 test, 10,000 labels"
for w in scratch probe blocks-0.5 blocks-1 blocks-2 blocks-4 all; do
    printf '%-16s %s\n' $w "$(sed -n 's/^best *top-1 \([0-9.]* %\), \(epoch [0-9]*\).*/\1 (\2)/p' "$out/$w.txt")"
done
"$mae" knn --quiet --model "$model" --data "cifar10:$cifar:train" --val "cifar10:$cifar:test" --limit first:10000
