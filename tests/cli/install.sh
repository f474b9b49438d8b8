#!/bin/sh
# What `make install` puts down works where it lies, and `make uninstall` takes all of it away.
# Usage: sh install.sh PATH-OF-MAE (or MAE in the environment); the Makefile lies two folders above
# this script, and what `make` builds is installed. Run by make, this gets the settings of that make.
. "${0%/*}/language.inc"

top=$(cd "${0%/*}/../.." && pwd)
root=$dir/root
has() { command -v "$1" >/dev/null 2>&1; }
# make_ TARGET: in the checkout, with what it says in $dir/make.
make_() {
    ${MAKE:-make} -s -C "$top" "$1" PREFIX="$root" LIBDIR="$root/lib" MANDIR="$root/share/man" DESTDIR="$2" \
        >"$dir/make" 2>&1 || wrong "make $1: $(tail -n 1 "$dir/make")"
}

# --- what is written by the program ---------------------------------------------------------------

commands=$("$mae" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
tiny="$(tiny_model 32 8 16 1 1) --threads 1 --workers 1 --batch 16 --warmup-epochs 1 --log-every 1"
data=synthetic:32x32x32

case_ 'a manual page for every command'
for c in '' $commands; do
    run 0 man $c
    out '^\.TH MAE'
    out '^\.SH EXIT STATUS'
    no_err
done
usage 'there is no command pretain; did you mean pretrain' man pretain
usage 'one page at a time' man knn eval
# Every option of the help is in the page, under its name.
"$mae" man finetune | sed -n 's/\\-/-/g; s/^\\fB\(--[a-z0-9-]*\)\\fR.*/\1/p' | sort >"$dir/in-page"
"$mae" finetune --help | sed -n 's/^  \(--[a-z0-9-]*\) .*/\1/p' | sort >"$dir/in-help"
same "$dir/in-page" "$dir/in-help"
[ "$(wc -l <"$dir/in-page")" -gt 50 ] || wrong 'the page of finetune has too few options'
end

# keys FILE: the keys of its objects, sorted; fields COMMAND FILE: those that the page explains.
keys() { tr ',{' '\n\n' <"$1" | sed -n 's/^ *"\([a-z0-9_]*\)":.*/\1/p' | sort -u; }
fields() {
    "$mae" man "$1" | sed -n "/^\.SH FIELDS OF $2/,/^\.SH E\|^\.SH FIELDS OF SUMMARY/s/^.fB\([a-z].*\).fR\$/\1/p" |
        tr -d ' ' | tr ',' '\n' | grep -v -x -e message -e changes | sort -u
}

case_ 'the manual explains the fields of a run'
run 0 pretrain --data $data --out "$dir/pre" $tiny --epochs 1 --quiet
# shellcheck disable=SC2086
run 0 finetune --data $data --val $data --accept-overlap --init none --model vit_tiny --image-size 32 --patch 8 \
    --embed-dim 16 --depth 1 --heads 1 --threads 1 --workers 1 --batch 16 --epochs 1 --log-every 1 \
    --out "$dir/fine" --quiet
for c in pretrain finetune; do
    [ $c = pretrain ] && made=$dir/pre || made=$dir/fine
    keys "$made/log.jsonl" >"$dir/keys"
    fields $c LOG.JSONL >"$dir/fields"
    diff "$dir/keys" "$dir/fields" >"$dir/diff" || wrong "log.jsonl of $c: $(tr '\n' ' ' <"$dir/diff")"
    keys "$made/summary.json" >"$dir/keys"
    fields $c SUMMARY.JSON >"$dir/fields"
    diff "$dir/keys" "$dir/fields" >"$dir/diff" || wrong "summary.json of $c: $(tr '\n' ' ' <"$dir/diff")"
done
end

case_ 'words to complete'
# words EXPECTED WORD...: the candidates are these.
words() {
    expected=$1
    shift
    run 0 completion words "$@"
    got=$(cut -f 1 "$dir/out" | tr '\n' ' ')
    [ "$got" = "$expected${expected:+ }" ] || wrong "mae completion words $*: $got"
}
words pretrain pre
words 'pretrain probe plan' help p
words 'pretrain finetune probe' plan ''
words --tune-blocks plan finetune --tune
words '' plan pretrain --tune
words --model pretrain --mo
words 'vit_small' pretrain --model vit_s
words 'vit_small' pretrain --model = vit_s
words '--model=vit_small' pretrain --model=vit_s
words --no-strict knn --no-str
words '' knn --data ''
words '' nonsense ''
words official convert in out --to of
usage 'write: mae completion' completion
usage 'write: mae completion' completion tcsh
end

if has bash; then
    case_ 'completion in bash'
    cat >"$dir/complete.bash" <<'EOF'
source <("$1" completion bash)
complete -p mae >/dev/null || exit 1
for line in 'pre' 'pretrain --mo' 'pretrain --mask = g'; do
    COMP_WORDS=("$1" $line) COMP_CWORD=$(wc -w <<<"$line")
    _mae "$1"
    echo "${COMPREPLY[*]}"
done
EOF
    got=$(bash "$dir/complete.bash" "$mae" | tr '\n' ' ')
    [ "$got" = 'pretrain --model grid ' ] || wrong "bash completes to: $got"
    end
else
    skip 'completion in bash' 'no bash'
fi

for shell in zsh fish; do
    if has $shell; then
        case_ "completion in $shell"
        run 0 completion $shell
        $shell -n "$dir/out" 2>"$dir/err" || wrong "$shell: $(head -n 1 "$dir/err")"
        end
    else
        skip "completion in $shell" "no $shell"
    fi
done

# --- installed ------------------------------------------------------------------------------------

if nm "$mae" 2>/dev/null | grep -q '__[a-z]*san_init'; then
    skip 'make install' 'a build with sanitizers is not installed'
    finish install
    exit
fi

case_ 'make install'
make_ install
for f in bin/mae include/mae.h lib/libmae.a lib/libmae.so lib/libmae.so.0 lib/pkgconfig/mae.pc \
    lib/cmake/mae/mae-config.cmake share/bash-completion/completions/mae share/zsh/site-functions/_mae \
    share/fish/vendor_completions.d/mae.fish share/man/man1/mae.1; do
    file "$root/$f"
done
for c in $commands; do file "$root/share/man/man1/mae-$c.1"; done
[ "$("$root/bin/mae" --version)" = "$("$mae" --version)" ] || wrong 'another version is installed'
end

if has groff; then
    case_ 'the manual is correct troff'
    for f in "$root"/share/man/man1/*.1; do
        groff -man -Tascii -ww -z "$f" >"$dir/out" 2>&1 && [ ! -s "$dir/out" ] ||
            wrong "$f: $(head -n 1 "$dir/out")"
    done
    end
elif has mandoc; then
    case_ 'the manual is correct troff'
    mandoc -T lint -W error "$root"/share/man/man1/*.1 >"$dir/out" || wrong "$(head -n 1 "$dir/out")"
    end
else
    skip 'the manual is correct troff' 'no groff and no mandoc'
fi

cat >"$dir/program.c" <<'EOF'
#include <mae.h>
#include <stdio.h>
int main(void) {
    int rank, size;
    MaeError err;
    printf("%s\n", mae_version());
    return mae_join(&rank, &size, &err) != MAE_OK || size != 1;
}
EOF
version=$("$mae" --version | sed -n '1s/mae //p')
# runs PROGRAM: it says the version.
runs() {
    got=$(LD_LIBRARY_PATH=$root/lib "$1" 2>&1)
    [ "$got" = "$version" ] || wrong "$1 says: $got"
}
cc=${CC:-cc}

case_ 'a program by pkg-config'
export PKG_CONFIG_PATH="$root/lib/pkgconfig"
# shellcheck disable=SC2046,SC2086 # lists of words
{
    $cc "$dir/program.c" -o "$dir/shared" $(pkg-config --cflags --libs mae) 2>"$dir/err" ||
        wrong "shared: $(tail -n 1 "$dir/err")"
    $cc "$dir/program.c" -o "$dir/static" $(pkg-config --cflags --libs --static mae | sed 's/-lmae /-l:libmae.a /') \
        2>"$dir/err" || wrong "static: $(tail -n 1 "$dir/err")"
}
runs "$dir/shared"
runs "$dir/static"
LC_ALL=C readelf -d "$dir/shared" | grep -q 'NEEDED.*\[libmae.so.0\]' || wrong 'shared: libmae.so.0 is not needed'
if LC_ALL=C readelf -d "$dir/static" | grep -q 'NEEDED.*libmae'; then wrong 'static: libmae.so is needed'; fi
end

# The example in C++, which `make` does not build.
cxx=${CXX:-c++}
# similar PROGRAM: it finds a picture equal to itself.
similar() {
    LD_LIBRARY_PATH=$root/lib "$1" "$dir/pre" "$photo" "$photo" >"$dir/out" 2>"$dir/err" ||
        wrong "$1: $(tail -n 1 "$dir/err")"
    [ "$(grep -c "^1.0000 " "$dir/out")" -eq 2 ] || wrong "$1 says: $(head -n 1 "$dir/out")"
}
photo=$(find "$top/tests/golden/data" -name '*.jpg' | sort | head -n 1)
if has "$cxx"; then
    case_ 'a program in C++ by pkg-config'
    # shellcheck disable=SC2046 # a list of words
    "$cxx" -std=c++17 -Wall -Wextra -Werror "$top/examples/similar.cc" -o "$dir/similar" \
        $(pkg-config --cflags --libs mae) 2>"$dir/err" || wrong "$(tail -n 1 "$dir/err")"
    similar "$dir/similar"
    end
else
    skip 'a program in C++ by pkg-config' "no $cxx"
fi

if has cmake && has "$cxx"; then
    case_ 'programs by CMake'
    mkdir "$dir/cmake"
    cp "$dir/program.c" "$top/examples/similar.cc" "$dir/cmake"
    major=${version%%.*} minor=${version#*.}
    minor=${minor%%.*}
    cat >"$dir/cmake/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.10)
project(program C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(mae $major.$minor CONFIG REQUIRED)
find_package(mae $major.$((minor + 1)) CONFIG QUIET)
if(mae_FOUND)
  message(FATAL_ERROR "a version that is not there was found")
endif()
add_executable(program program.c)
add_executable(similar similar.cc)
target_link_libraries(program mae::mae)
target_link_libraries(similar mae::mae)
EOF
    cmake -S "$dir/cmake" -B "$dir/cmake/build" -DCMAKE_PREFIX_PATH="$root" >"$dir/out" 2>&1 &&
        cmake --build "$dir/cmake/build" >"$dir/out" 2>&1 || wrong "$(tail -n 1 "$dir/out")"
    runs "$dir/cmake/build/program"
    similar "$dir/cmake/build/similar"
    end
else
    skip 'programs by CMake' "no cmake, or no $cxx"
fi

case_ 'make uninstall'
make_ uninstall
left=$(find "$root" ! -type d | head -n 3 | tr '\n' ' ')
[ -z "$left" ] || wrong "left: $left"
make_ install "$dir/stage"
file "$dir/stage$root/bin/mae"
[ ! -e "$root/bin/mae" ] || wrong 'DESTDIR: installed without it'
grep -q "^prefix=$root\$" "$dir/stage$root/lib/pkgconfig/mae.pc" || wrong 'DESTDIR: it is in mae.pc'
make_ uninstall "$dir/stage"
left=$(find "$dir/stage" ! -type d | head -n 3 | tr '\n' ' ')
[ -z "$left" ] || wrong "left in DESTDIR: $left"
end

finish install
