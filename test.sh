#!/bin/sh
# The test command: installs what is missing, builds, runs every test, and ends with the line
# `N passed, N failed, N skipped`. MAE_GOLDEN=DIR takes the golden files from elsewhere.
# MAE_TEST_SANITIZERS=1 adds a second round under address and undefined sanitizers (.ci/run does).
set -u
cd "$(dirname "$0")" || exit 1
sh tools/install_deps.sh test || exit 1

# Waiting threads sleep: kinder where several tests share the processors.
export OMP_WAIT_POLICY=passive
# Several tests at a time: each gets more time before it counts as hanging.
export CK_TIMEOUT_MULTIPLIER=4
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
log=build/test.log
mkdir -p build
: > "$log"
passed=0 failed=0 skipped=0

# Runs "$@", shows its output, and adds up its lines "NAME: N passed|compared, M failed[, K skipped]".
round() {
    "$@" > build/test.part 2>&1
    status=$?
    cat build/test.part >> "$log"
    LC_ALL=C grep -v '^cc \|^gcc \|^clang ' build/test.part
    sums=$(sed -n 's/^[a-z]*: \([0-9]*\) [a-z]*, \([0-9]*\) failed\(, \([0-9]*\)[a-z ]* skipped\)\{0,1\}.*$/\1 \2 \4/p' \
        build/test.part | awk '{p += $1; f += $2; s += $3} END {print p + 0, f + 0, s + 0}')
    # shellcheck disable=SC2086 # three numbers
    set -- $sums
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    [ $status -eq 0 ] || [ "$2" -gt 0 ] || failed=$((failed + 1))
}

if ! make -j"$jobs" > build/make.log 2>&1; then
    tail -n 30 build/make.log
    echo "The build failed; see build/make.log."
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
round make -s -k -Otarget -j"$jobs" check
round make -s check-style
if command -v mpicc >/dev/null 2>&1 && command -v mpirun >/dev/null 2>&1; then
    echo "Several processes:"
    if make -j"$jobs" MPI=1 BIN=build/mpi > build/make.log 2>&1; then
        round make -s check-mpi MPI=1 BIN=build/mpi
    else
        tail -n 30 build/make.log
        failed=$((failed + 1))
    fi
else
    echo "SKIP several processes: no mpicc or mpirun"
    skipped=$((skipped + 1))
fi
if [ "${MAE_TEST_SANITIZERS:-0}" != 0 ]; then
    echo "Again under address and undefined sanitizers:"
    if make -j"$jobs" SAN=address,undefined > build/make.log 2>&1; then
        round make -s -k -Otarget -j"$jobs" check SAN=address,undefined
    else
        tail -n 30 build/make.log
        failed=$((failed + 1))
    fi
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
