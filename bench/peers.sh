#!/bin/sh
# bench/peers.sh [OPTIONS] [CASE...]: mae and PyTorch on the same work, in turn, each measurement in
# a process of its own. Prints a table of images per second, peak memory and ratios, or JSON lines.
#
#     --mae MAE         the command (build/mae)
#     --python PYTHON   one that has torch and transformers (python3); see bench/peer_pytorch.py
#     --rounds N        how often each case takes its turn (3)
#     --repetitions N   timed steps in a turn (5)
#     --threads N       of both (all processors)
#     --modes LIST      "eager", "compiled" or "eager compiled" (both)
#     --data DIR        photos for the case loader
#     --small           narrow models, to try the scripts out
#     --json            every measurement as a JSON line, then one for every ratio
#
# CASEs, all without any: pretrain_base pretrain_tiny finetune_base features_base features_base_1,
# and with --data loader: crops of 224 from photos, on one core of each. The environment is passed on
# to both: LD_PRELOAD can try another allocator. Exit status 2 without PyTorch, 1 when a measurement
# fails.
set -eu
cd "$(dirname "$0")/.."

mae=build/mae python=python3 rounds=3 repetitions=5 threads=0 modes='eager compiled'
json= small= data=
while [ $# -gt 0 ]; do
    case $1 in
    --mae) mae=$2; shift ;;
    --python) python=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --repetitions) repetitions=$2; shift ;;
    --threads) threads=$2; shift ;;
    --modes) modes=$2; shift ;;
    --data) data=$2; shift ;;
    --small) small='--embed-dim 48 --depth 2 --heads 2' ;;
    --json) json=--json ;;
    --help | -h) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "peers.sh: there is no option $1; see --help" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || set -- pretrain_base pretrain_tiny finetune_base features_base features_base_1 \
    ${data:+loader}

# Options that both programs know.
options() {
    case $1 in
    pretrain_base) echo --task pretrain --model vit_base --batch 32 ;;
    pretrain_tiny) echo --task pretrain --model vit_tiny --image-size 32 --patch 4 --batch 128 ;;
    finetune_base) echo --task finetune --model vit_base --batch 8 ;;
    features_base) echo --task features --model vit_base --batch 16 ;;
    loader)
        [ -n "$data" ] || { echo 'peers.sh: the case loader needs --data DIR' >&2; return 2; } ;;
    features_base_1) echo --task features --model vit_base --batch 1 ;;
    *) echo "peers.sh: there is no case $1; see --help" >&2; return 2 ;;
    esac
}

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT

# measure CASE COMMAND...: its JSON line, with the case in front.
measure() {
    name=$1
    shift
    line=$("$@") || {
        status=$?
        echo "peers.sh: $* ended with $status" >&2
        exit $status
    }
    line="{\"case\": \"$name\", ${line#?}"
    echo "$line" >>"$lines"
    [ -z "$json" ] || echo "$line"
    echo "peers.sh: $name: $1 done" >&2
}

# turn CASE: each program once.
turn() {
    if [ "$1" = loader ]; then
        measure loader "$mae" bench data --data "folder:$data" --augment crop --batch 64 \
            --workers 1 --cache-mb 0 --repetitions "$repetitions" --json
        measure loader "$python" bench/peer_pytorch.py --task loader --data "$data" --batch 64 \
            --threads 1 --repetitions "$((4 * repetitions))"
        return
    fi
    common="$(options "$1") $small --threads $threads --repetitions $repetitions"
    measure "$1" "$mae" bench step $common --json
    for mode in $modes; do
        [ "$mode" = compiled ] && how=--compile || how=
        measure "$1" "$python" bench/peer_pytorch.py $common $how
    done
}

for name; do options "$name" >/dev/null; done
for name; do
    round=0
    while [ $round -lt "$rounds" ]; do
        turn "$name"
        round=$((round + 1))
    done
done
"$python" bench/peers_table.py $json "$lines"
