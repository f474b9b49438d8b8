#!/bin/sh
# bench/session.sh [--model M] [--batch N] [--images N] [--threads N] [--rounds N] [MAE]: features of
# images in memory by a session of the library (bench/session.c), beside the same steps of `mae bench
# step --task features`. The two take turns; of the rounds it gives medians and their ratio.
set -eu
cd "$(dirname "$0")/.."

model=vit_base batch=16 images=1000 threads=2 rounds=3
while [ $# -gt 0 ]; do
    case $1 in
    --model) model=$2 ;;
    --batch) batch=$2 ;;
    --images) images=$2 ;;
    --threads) threads=$2 ;;
    --rounds) rounds=$2 ;;
    -*) echo "session.sh: there is no option $1" >&2; exit 2 ;;
    *) break ;;
    esac
    shift 2
done
mae=${1:-build/mae}
work=$(mktemp -d "${TMPDIR:-/tmp}/mae-session.XXXXXX")
trap 'rm -rf "$work"' EXIT
${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -Iinclude -o "$work/session" bench/session.c build/libmae.so \
    -Wl,-rpath,"$PWD/build"

number() { sed -n "s/.*\"$1\":\([-+0-9.eE]*\).*/\1/p"; }
middle() { sort -g "$1" | sed -n "$((($(wc -l <"$1") + 1) / 2))p"; }

while [ "$rounds" -gt 0 ]; do
    rounds=$((rounds - 1))
    "$work/session" "$model" "$batch" "$images" "$threads" |
        number images_per_s_median >>"$work/of_session"
    "$mae" bench step --task features --model "$model" --batch "$batch" --threads "$threads" \
        --repetitions $((images / batch)) --json | number images_per_s_median >>"$work/of_step"
done
session=$(middle "$work/of_session") step=$(middle "$work/of_step")
ratio=$(awk "BEGIN { printf \"%.3f\", $session / $step }")
echo "session $session images/s, bench step $step images/s: $ratio"
