#!/bin/sh
# bench/loader.sh [OPTIONS] DIR: random resized crops of 224 with flips from the JPEG photos of DIR,
# by `mae bench data` and by torchvision with PIL, in turn, one thread of each. Prints images per
# second, the least and the median over the rounds, and the ratio of the medians.
#
#     --mae MAE         the command (build/mae)
#     --python PYTHON   one that has torch, torchvision and pillow (python3)
#     --rounds N        turns of each (5)
#     --fast            adds `mae bench data --fast-decode`
#
# For a fair share of one core, start it with `taskset -c N`.
set -eu
here=$(dirname "$0")
mae=$here/../build/mae python=python3 rounds=5 fast= data=
while [ $# -gt 0 ]; do
    case $1 in
    --mae) mae=$2; shift ;;
    --python) python=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --fast) fast=1 ;;
    --help | -h) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "loader.sh: there is no option $1; see --help" >&2; exit 2 ;;
    *) data=$1 ;;
    esac
    shift
done
[ -d "$data" ] || { echo 'loader.sh: name a folder of photos' >&2; exit 2; }

# mae_round [OPTION]: images per second, the median of a few hundred images each.
mae_round() {
    "$mae" bench data --data "folder:$data" --augment crop --image-size 224 --batch 64 --workers 0 \
        --cache-mb 0 --repetitions 5 --json "$@" |
        sed -n 's/.*"images_per_s_median": *\([0-9.]*\).*/\1/p'
}

# Sorted numbers on standard input: "least median".
least_median() {
    sort -n | awk '{v[NR] = $1} END {print v[1], (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'
}

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
for round in $(seq "$rounds"); do
    mae_round >> "$results/mae"
    [ -z "$fast" ] || mae_round --fast-decode >> "$results/mae --fast-decode"
    "$python" "$here/loader_torchvision.py" "$data" --rounds 1 >> "$results/torchvision"
    echo "round $round of $rounds" >&2
done
base=$(least_median < "$results/torchvision")
for name in torchvision mae "mae --fast-decode"; do
    [ -f "$results/$name" ] || continue
    printf '%s %s\n' "$(least_median < "$results/$name")" "${base#* }" |
        awk -v name="$name" '{printf "%-20s %8.1f least %8.1f median %6.2f x\n", name, $1, $2, $2 / $3}'
done
