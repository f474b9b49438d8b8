#!/bin/sh
# The public header alone: its length, both languages with every warning, and what a foreign function
# interface makes of it. Usage: sh header.sh PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

header=$(cd "${0%/*}/../../include" && pwd)/mae.h
has() { command -v "$1" >/dev/null 2>&1; }
warnings='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Wcast-qual -Werror -fsyntax-only'

case_ 'the header can be read in one sitting'
lines=$(wc -l <"$header")
[ "$lines" -le 380 ] || wrong "$lines lines, 380 are allowed"
end

# compiles COMPILER LANGUAGE STANDARD OPTIONS...
compiles() {
    compiler=$1 language=$2 standard=$3
    shift 3
    # shellcheck disable=SC2086 # a list of words
    "$compiler" -x "$language" -std="$standard" $warnings "$@" "$header" >"$dir/out" 2>&1 ||
        wrong "$compiler, $standard: $(head -n 1 "$dir/out")"
}

for compiler in gcc clang; do
    has $compiler || continue
    case_ "C11 of $compiler"
    compiles $compiler c c11 -Wstrict-prototypes -Wmissing-prototypes
    end
done
for compiler in g++ clang++; do
    has $compiler || continue
    case_ "C++17 of $compiler"
    compiles $compiler c++ c++17 -Wold-style-cast -Wnon-virtual-dtor
    end
done

# Without comments and macros: what is left are types and prototypes.
if has python3 && python3 -c 'import cffi' 2>/dev/null; then
    case_ 'cffi reads it'
    sed '/^#include/d' "$header" | ${CC:-cc} -E -P -U__GNUC__ -x c - >"$dir/mae.i" 2>"$dir/err" ||
        wrong "$(head -n 1 "$dir/err")"
    python3 - "$dir/mae.i" >"$dir/out" 2>&1 <<'PYTHON' || wrong "$(tail -n 1 "$dir/out")"
import sys, cffi
ffi = cffi.FFI()
ffi.cdef(open(sys.argv[1]).read())
for struct in ("MaeImage", "MaeTensor", "MaeSource", "MaeEvents", "MaeProgress", "MaeOption", "MaeError"):
    assert ffi.sizeof(struct) > 0, struct
assert ffi.typeof("MaeOptions *").item.kind == "struct"
PYTHON
    end
else
    skip 'cffi reads it' 'no python3 with cffi'
fi

finish header
