#!/bin/sh
# Thread sanitizer over the loader, the training loop and what they call: the unit suites, then runs
# of the command with loader threads. Usage: tools/tsan.sh [SUITE...]
# Built without OpenMP, whose barriers (libgomp) the sanitizer cannot see: what is looked at are our
# own threads. That teams of a parallel loop do not write the same place is what the tests that
# compare any number of threads bit by bit are for.
set -u
cd "$(dirname "$0")/.." || exit 1
log=${TMPDIR:-/tmp}/mae-tsan.$$
trap 'rm -rf "$log" "$log.run" "$log.tune"' EXIT
make -j"$(getconf _NPROCESSORS_ONLN)" SAN=thread OPENMP= CFLAGS='-O1 -g' all \
    build/thread/unit_tests >"$log" 2>&1 || { tail -n 20 "$log"; exit 1; }
[ $# -gt 0 ] || set -- listener mae_session source_memory given_runs loader dataset image features \
    short_memory nonfinite checkpoint_writer checkpoint_crash
TSAN_OPTIONS="halt_on_error=0 exitcode=66 second_deadlock_stack=1"
export TSAN_OPTIONS
failed=0

# attempt NAME COMMAND...: a report of the sanitizer or a failure counts.
attempt() {
    name=$1
    shift
    "$@" >"$log" 2>&1
    status=$?
    reports=$(grep -c 'WARNING: ThreadSanitizer' "$log")
    echo "$name: exit status $status, $reports reports"
    [ $status -eq 0 ] && [ "$reports" -eq 0 ] && return
    failed=$((failed + 1))
    grep -A 30 -e 'WARNING: ThreadSanitizer' -e '^FAIL' -e '^mae: ' "$log" | head -n 60
}

tiny='--image-size 32 --patch 8 --embed-dim 32 --depth 2 --heads 2 --batch 8 --epochs 3
    --warmup-epochs 1 --save-every 1 --log-every 1 --workers 2'
decoder='--decoder-embed-dim 32 --decoder-depth 1 --decoder-heads 2'
data=synthetic:64x40x40
mae=build/thread/mae
for suite; do attempt "unit $suite" build/thread/unit_tests "$suite"; done
# shellcheck disable=SC2086 # lists of words
{
    attempt pretrain $mae pretrain --data $data --out "$log.run" $tiny $decoder
    attempt 'pretrain, resumed' $mae pretrain --out "$log.run" --epochs 5 --workers 4 \
        --accept-changes
    attempt finetune $mae finetune --data $data --val $data --init none --out "$log.tune" $tiny \
        --ema 0.9
    attempt features $mae features --model "$log.run/last.safetensors" --data $data \
        --out "$log.run/f.npy" --workers 2
    attempt knn $mae knn --model "$log.run/last.safetensors" --data $data --val $data --k 1
}
echo "tsan: $failed failed"
[ $failed -eq 0 ]
