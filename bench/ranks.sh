#!/bin/sh
# bench/ranks.sh [ROUNDS] [MAE]: two processes of one thread beside one process of two threads, the
# same images an update, in turn; images/s of each (least, median, most) and the ratio of medians.
# Wants a command built with MPI=1 (default build/mpi/mae) and mpirun. MODEL and BATCH (of both
# together) in the environment; synthetic images that are kept decoded.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5}
mae=${2:-build/mpi/mae}
model=${MODEL:---model vit_tiny --image-size 32 --patch 4}
batch=${BATCH:-128}
updates=${UPDATES:-12}
work=$(mktemp -d "${TMPDIR:-/tmp}/mae-ranks.XXXXXX")
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm_rsh_agent=sh

# Rates of the second half of the updates, as the log has them.
rates() { sed -n 's/.*"kind":"step".*"images_per_s":\([0-9.]*\).*/\1/p' "$1/log.jsonl" | tail -n $((updates / 2)); }

for round in $(seq "$rounds"); do
    # shellcheck disable=SC2086 # lists of words
    common="pretrain --quiet --data synthetic:$((batch * 4))x32x32 $model --epochs 1000 --steps $updates
        --warmup-epochs 1 --log-every 1 --workers 1 --restart"
    # shellcheck disable=SC2086
    "$mae" $common --batch "$batch" --threads 2 --out "$work/threads" >/dev/null 2>&1
    rates "$work/threads" >>"$work/threads.txt"
    # shellcheck disable=SC2086
    mpirun -n 2 "$mae" $common --batch $((batch / 2)) --threads 1 --out "$work/ranks" >/dev/null 2>&1
    rates "$work/ranks" >>"$work/ranks.txt"
done
for what in threads ranks; do
    sort -n "$work/$what.txt" | awk -v what=$what '
        { x[NR] = $1 }
        END { printf "%s: %d updates, least %.1f, median %.1f, most %.1f images/s\n", what, NR, x[1],
              x[int((NR + 1) / 2)], x[NR] }'
done | tee "$work/table"
awk '{ for (i = 1; i < NF; i++) if ($i == "median") m[NR] = $(i + 1) }
    END { printf "two processes / two threads: %.3f\n", m[2] / m[1] }' "$work/table"
