#!/bin/sh
# Trains four small runs with each of two commands and compares what they leave: the tensors of
# last.safetensors and the numbers of log.jsonl, times aside. The runs: norm-pix; PCA with
# accumulation; fine-tuning with mixup, cutmix and averages; probing with batch norm. A change that
# only moves code must leave the same bytes. Exit status 1 when something differs. Where a command does
# not start from nothing, both start from what the first one trained.
# Usage: tools/same_runs.sh OLD-MAE NEW-MAE [DATA [VAL]], labelled sources (default: generated images).
set -u
old=${1:?OLD-MAE} new=${2:?NEW-MAE}
data=${3:-synthetic:256x40x48} val=${4:-synthetic:64x40x48}
work=$(mktemp -d "${TMPDIR:-/tmp}/mae-same.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
size='--model vit_tiny --image-size 32 --patch 8 --embed-dim 48 --depth 3 --heads 3'
decoder='--decoder-embed-dim 32 --decoder-depth 1 --decoder-heads 2'
often='--batch 32 --epochs 3 --warmup-epochs 1 --log-every 1 --seed 5 --quiet'

# NAME ARGS...: with both commands, into $work/NAME.old and .new
train() {
    name=$1
    shift
    for which in old new; do
        eval "mae=\$$which"
        "$mae" "$@" --out "$work/$name.$which" >"$work/out" 2>&1 || {
            cat "$work/out" >&2
            echo "$name: the $which command failed" >&2
            exit 1
        }
    done
}

# The bytes behind the header of a safetensors file, then its tensors' names, types and shapes.
tensors() {
    header=$(od -A n -t u8 -N 8 "$1" | tr -d ' ')
    tail -c +$((header + 9)) "$1" | cksum
    tail -c +9 "$1" | head -c "$header" | sed 's/"__metadata__":{[^}]*}//' | cksum
}

# The lines of a log without what depends on the clock.
numbers() { sed 's/"[a-z_]*\(per_s\|second\|seconds\)":[^,}]*,\{0,1\}//g' "$1"; }

differ=0
same() {
    for which in old new; do
        tensors "$work/$1.$which/last.safetensors" >"$work/tensors.$which"
        numbers "$work/$1.$which/log.jsonl" >"$work/log.$which"
    done
    for what in tensors log; do
        cmp -s "$work/$what.old" "$work/$what.new" && echo "same $1: $what" && continue
        echo "DIFFERENT $1: $what"
        diff "$work/$what.old" "$work/$what.new" | head -n 4
        differ=1
    done
}

# shellcheck disable=SC2086 # lists of options
{
    train norm-pix pretrain --data "$data" $size $decoder $often --target norm-pix
    train pca pretrain --data "$data" $size $decoder $often --target pca --pca-components 24 \
        --pca-images 64 --accumulate 2 --mask block --augment crop-jitter
    first=$work/norm-pix.old/last.safetensors
    train finetune finetune --data "$data" --val "$val" --init "$first" $often --mixup 0.8 \
        --cutmix 1 --ema 0.9 --drop-path 0.2
    train probe probe --data "$data" --val "$val" --init "$first" $often
}
for name in norm-pix pca finetune probe; do same $name; done
exit $differ
