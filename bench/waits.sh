#!/bin/sh
# bench/waits.sh [ROUNDS] [MODEL] [MAE]: features of one image, from start to end, by a program that sets
# nothing in the environment (bench/image.c) and by the command, in turn: alone, and beside a busy process. Then the program again with the long waits of libgomp's own (GOMP_SPINCOUNT=300000). Milliseconds
# (least, median, most), and the ratio of medians to the command.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-15}
model=${2:-vit_base}
mae=${3:-build/mae}
work=$(mktemp -d "${TMPDIR:-/tmp}/mae-waits.XXXXXX")
busy=
trap '[ -z "$busy" ] || kill $busy; rm -rf "$work"' EXIT
program=$work/image
${CC:-cc} -std=c11 -O2 -Iinclude -o "$program" bench/image.c build/libmae.so -Wl,-rpath,"$PWD/build"
unset OMP_WAIT_POLICY GOMP_SPINCOUNT OMP_PROC_BIND OMP_PLACES GOMP_CPU_AFFINITY

"$mae" pretrain --model "$model" --data synthetic:2x224x224 --batch 2 --epochs 1 --warmup-epochs 0 \
    --out "$work/run" --quiet >"$work/out"
checkpoint=$work/run/last.safetensors
image=$PWD/docs/reconstruction.png
echo "$image" >"$work/list.txt"

# ms COMMAND...: how long it takes.
ms() {
    start=$(date +%s%N)
    "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
    echo $((($(date +%s%N) - start) / 1000000))
}

compare() {
    rm -f "$work"/*.ms
    for _ in $(seq "$rounds"); do
        ms "$program" "$checkpoint" "$image" >>"$work/program.ms"
        ms "$mae" features --model "$checkpoint" --data "list:$work/list.txt" --out "$work/f.npy" --workers 0 --quiet \
            >>"$work/command.ms"
        ms env GOMP_SPINCOUNT=300000 "$program" "$checkpoint" "$image" >>"$work/long.ms"
    done
    for what in command program long; do
        sort -n "$work/$what.ms" | awk -v what=$what -v where="$1" -v file="$work/command.median" '
            { x[NR] = $1 }
            END {
                median = x[int((NR + 1) / 2)]
                if (what == "command") print median >file
                else getline command <file
                printf "%s, %s: %d, %d, %d ms", where, what, x[1], median, x[NR]
                if (what != "command") printf ", %.2f of the command", median / command
                print ""
            }'
    done
}

compare alone
sh -c 'while :; do :; done' &
busy=$!
compare 'beside a busy process'
