#!/bin/sh
# tools/fuzz.sh [SECONDS] [TARGET...]: feeds the readers and writers of files with damaged input.
# Builds tests/fuzz/fuzz_TARGET.c with clang's libFuzzer and sanitizers under build/fuzz, then runs
# each target for SECONDS (default 60), one after the other, on its corpus in
# tests/fuzz/corpus/TARGET. New inputs go to build/fuzz/TARGET/new, crashes and logs beside it.
# SECONDS 0 only builds. FUZZ_FLAGS adds options of libFuzzer, FUZZ_JOBS=N runs N targets at a time.
# Exit status 1 when a target fails.
set -eu
cd "$(dirname "$0")/.."
seconds=60
case ${1-} in '' | *[!0-9]*) ;; *) seconds=$1 && shift ;; esac
[ $# -gt 0 ] || set -- $(ls tests/fuzz/fuzz_*.c | sed 's,.*/fuzz_,,; s,\.c$,,')

CLANG=${CLANG-$(command -v clang || command -v clang-14 || true)}
[ -n "$CLANG" ] || {
    echo "Fuzzing needs clang and its libFuzzer; on Debian:" >&2
    echo "apt-get install clang-14 libclang-rt-14-dev" >&2
    exit 1
}

# The Makefile knows how each file is compiled; DIR moves its objects. Kernels see no file's bytes, and
# with sanitizers clang works on one of the SIMD files for longer than ten minutes: they go without.
san=address,undefined,float-cast-overflow
obj=build/fuzz/obj
packages='libjpeg libpng libwebp libarchive jansson lapack zlib'
libs="$(pkg-config --libs $packages) -lm -lpthread"
mkdir -p "$obj"
make -s DIR="$obj" BIN="$obj" CC="$CLANG" SAN="fuzzer-no-link,$san" OPENMP= CFLAGS='-O1 -g' \
    SIMD_FLAGS="-O1 -fno-sanitize=all" "$obj/libmae.o" 2>"$obj/log" || {
    cat "$obj/log" >&2
    echo "The library cannot be built with $CLANG; its libFuzzer is in libclang-rt-14-dev." >&2
    exit 1
}
if [ -n "$(find "$obj/libmae.o" -newer "$obj/library.a" 2>/dev/null || echo new)" ]; then
    rm -f "$obj/library.a" # members of the same name must not replace each other
    find "$obj/src" -name '*.o' | sort | xargs ar qcs "$obj/library.a"
fi
for target in "$@"; do
    mkdir -p "build/fuzz/$target/new"
    "$CLANG" -std=c11 -O1 -g -D_GNU_SOURCE -Wall -Wextra "-fsanitize=fuzzer,$san" \
        -fno-sanitize-recover=all -fno-omit-frame-pointer -Isrc -Iinclude \
        -o "build/fuzz/$target/fuzz" "tests/fuzz/fuzz_$target.c" "$obj/library.a" $libs
done
[ "$seconds" -gt 0 ] || exit 0

# Targets that need files keep them in memory.
[ -d /dev/shm ] && place=/dev/shm || place=${TMPDIR:-/tmp}
TMPDIR=$(mktemp -d "$place/mae-fuzz-run-XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 1' HUP INT TERM

run_target() {
    target=$1
    dict=tests/fuzz/$target.dict
    [ -f "$dict" ] && dict=-dict=$dict || dict=
    status=ok
    "build/fuzz/$target/fuzz" -max_total_time="$seconds" -print_final_stats=1 -timeout=10 \
        -rss_limit_mb=1024 -malloc_limit_mb=512 -artifact_prefix="build/fuzz/$target/" $dict \
        ${FUZZ_FLAGS-} "build/fuzz/$target/new" "tests/fuzz/corpus/$target" \
        >"build/fuzz/$target/log" 2>&1 || status=FAILED
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "build/fuzz/$target/log" | tail -1)
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$target/log")
    echo "fuzz $target: $status, ${runs:-?} runs, $coverage edges; build/fuzz/$target/log"
    [ $status = ok ]
}

failed=0 children=
wait_for_all() {
    for child in $children; do wait "$child" || failed=1; done
    children=
}
for target in "$@"; do
    run_target "$target" &
    children="$children $!"
    [ $(echo $children | wc -w) -lt "${FUZZ_JOBS-1}" ] || wait_for_all
done
wait_for_all
[ $failed -eq 0 ]
