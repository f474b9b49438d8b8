#!/bin/sh
# bench/scaling.sh [--rounds N] [--steps N] [--small] [MAE]: updates of one process of one thread, of
# two that know nothing of each other, and of two that train one model, the same batch in each, in
# turn; wants a command built with MPI=1. Prints a JSON line a run for `bench/scaling.py --validate`,
# which compares them with its simulation: two that do not exchange anything show what sharing a
# machine (and other work on it) costs by itself. --small: a narrow model, to try the script out.
set -eu

rounds=3 steps=0 small=
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2; shift ;;
    --steps) steps=$2; shift ;;
    --small) small=1 ;;
    -*) echo "scaling.sh: there is no option $1" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done
mae=${1:-build/mpi/mae}
mpirun=${MPIRUN:-mpirun}
work=$(mktemp -d "${TMPDIR:-/tmp}/mae-scaling.XXXXXX")
trap 'rm -rf "$work"' EXIT
export OMP_WAIT_POLICY=passive
export OMPI_MCA_plm_rsh_agent=sh # there may be no ssh, and nobody to call
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

export OMPI_MCA_hwloc_base_binding_policy=none # the loader has threads of its own

# train OUT LAUNCHER...: an update is a line of OUT/log.jsonl.
train() {
    out=$1
    shift
    "$@" "$mae" pretrain --quiet --restart --out "$out" --model "$model" --image-size "$image" \
        --patch "$patch" --batch "$batch" --steps "$n_steps" --augment none --epochs 2 \
        --data "synthetic:$((n * batch * (n_steps + 1)))x${image}x$image" \
        --threads 1 --workers 1 --log-every 1 --seed 3 $narrow >"$out.log" 2>&1 ||
        { cat "$out.log" >&2; return 1; }
}

# report OUT: the first update waits for the first images and is left out.
report() {
    awk -v n="$n" -v batch="$batch" -v run="{\"kind\": \"$kind\", \"model\": \"$model\", \
\"image\": $image, \"patch\": $patch, \"batch\": $batch" '
        /"grad_norm"/ && match($0, /"images_per_s":[0-9.e+]+/) && lines++ > 0 {
            s = s (s == "" ? "" : ", ") sprintf("%.5f", n * batch / substr($0, RSTART + 15, RLENGTH - 15))
        }
        END { print run ", \"step_s\": [" s "]}" }' "$1/log.jsonl"
}

# measure MODEL IMAGE PATCH BATCH STEPS
measure() {
    model=$1 image=$2 patch=$3 batch=$4 n_steps=$5
    [ "$steps" -eq 0 ] || n_steps=$steps
    kind=one n=1
    train "$work/one" env
    report "$work/one"
    kind=apart
    train "$work/apart1" env &
    other=$!
    train "$work/apart2" env
    wait $other
    report "$work/apart1"
    report "$work/apart2"
    kind=together n=2
    train "$work/together" "$mpirun" -n 2
    report "$work/together"
}

narrow=
[ -z "$small" ] || narrow='--depth 2 --decoder-depth 1'
round=0
while [ $round -lt "$rounds" ]; do
    if [ -n "$small" ]; then
        measure vit_tiny 16 4 4 6
    else
        measure vit_tiny 32 4 16 20
        measure vit_base 224 16 4 5
    fi
    round=$((round + 1))
done
