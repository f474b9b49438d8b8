#!/bin/sh
# tools/kill_ranks.sh [KILLS] [MAE]: trains with three processes that write their parts of every
# checkpoint (--shard-optimizer), kills one of them with kill -9 at a random moment, and goes on with
# the same command, until KILLS (default 40) have been made. Every run that comes to its end must
# leave the bytes of an undisturbed one. Wants a command built with MPI=1 (default build/mpi/mae) and
# mpirun. Exit status 1 when something was lost.
set -eu
cd "$(dirname "$0")/.."
kills=${1:-40}
mae=$(realpath "${2:-build/mpi/mae}")
work=$(mktemp -d "${TMPDIR:-/tmp}/mae-ranks.XXXXXX")
trap 'pkill -KILL -f "$work/run" 2>/dev/null; rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive OMPI_MCA_plm_rsh_agent=sh
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
over=
mpirun --version 2>/dev/null | grep -q 'Open MPI' && over=--oversubscribe
run="--data synthetic:72x32x32 --model vit_tiny --image-size 32 --patch 8 --embed-dim 48 --depth 2
--decoder-embed-dim 48 --decoder-depth 1 --threads 1 --workers 1 --batch 8 --epochs 60 --save-every 1
--warmup-epochs 1 --log-every 1 --seed 3 --shard-optimizer --quiet"

# shellcheck disable=SC2086 # lists of words
train() { mpirun $over -n 3 "$mae" pretrain $run --out "$1" >"$work/out" 2>"$work/err"; }

random() { od -An -N2 -tu2 /dev/urandom | tr -d ' '; }

train "$work/calm"
made=0 finished=0 early=0
while [ $made -lt "$kills" ]; do
    rm -rf "$work/run"
    while :; do
        train "$work/run" &
        job=$!
        sleep "$(($(random) % 3)).$(($(random) % 10))"
        victim=$(pgrep -f "pretrain .*--out $work/run\$" | grep -v "^$job\$" | tail -n $(($(random) % 3 + 1)) |
            head -n 1)
        [ -z "$victim" ] || kill -KILL "$victim" 2>/dev/null || true
        status=0
        wait $job || status=$?
        [ $status -ne 0 ] || break
        made=$((made + 1))
        [ -f "$work/run/last.manifest.json" ] || early=$((early + 1))
        [ $status -ge 128 ] || grep -q 'signal 9' "$work/err" || {
            echo "exit status $status after $made kills:"
            cat "$work/err"
            exit 1
        }
        [ $made -lt "$kills" ] || {
            train "$work/run"
            break
        }
    done
    finished=$((finished + 1))
    for f in last.safetensors last.state-1-of-3.safetensors last.state-2-of-3.safetensors \
        last.state-3-of-3.safetensors checkpoint-60.safetensors; do
        cmp "$work/calm/$f" "$work/run/$f" || exit 1
    done
done
echo "ranks: $made kills in $finished runs, $early before the first checkpoint, nothing lost"
