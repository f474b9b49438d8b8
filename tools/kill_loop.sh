#!/bin/sh
# Kills small training runs with kill -9 until KILLS have been made, half of them at random moments,
# half before a random operation on files (write, fsync, rename, link, unlink), and continues them
# with the same command. After every kill the checkpoint that counts must be whole: each file of its
# manifest has the size and CRC-32 it says, and every weight file loads. A run that came to its end
# must have left the same bytes as one that was never disturbed. Pre-training and fine-tuning with
# averaged weights take turns. Prints in which phase the kills fell; exit status 1 when something
# was lost. Needs a C compiler, gzip, od. Usage: tools/kill_loop.sh [KILLS [PATH-OF-MAE]]; in the
# environment, SEED=N gives other moments, LONGEST=SECONDS the latest of them, EPOCHS=N longer runs.
set -u
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
kills=${1:-200}
mae=${2:-${MAE:-$top/build/mae}}
work=$(mktemp -d "${TMPDIR:-/tmp}/mae-kill.XXXXXX") || exit 1
process=
trap '[ -z "$process" ] || kill -9 "$process" 2>/dev/null; rm -rf "$work"' EXIT
shim=$work/shim.so
${CC:-cc} -std=c11 -O1 -D_GNU_SOURCE -shared -fPIC -I"$top/tests/unit" -o "$shim" \
    "$top/tools/kill_shim.c" "$top/tests/unit/file_faults.c" -lpthread || exit 1
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"

epochs=${EPOCHS:-40}
tiny='--model vit_tiny --image-size 32 --patch 8 --embed-dim 16 --depth 1 --heads 2 --threads 1
      --workers 1 --batch 16 --warmup-epochs 1 --log-every 1 --seed 3 --quiet'
pretrain="pretrain --data synthetic:64x32x32 --decoder-embed-dim 16 --decoder-depth 1
          --decoder-heads 2 --epochs $epochs --save-every 1 $tiny"
finetune="finetune --data synthetic:64x32x32 --val synthetic:32x32x32 --init none --ema 0.9
          --epochs $epochs --save-every 2 $tiny"

# --- what is checked ---------------------------------------------------------------------------------

lost() {
    echo "LOST after $made kills ($kind): $1" >&2
    ls -l "$run" >&2
    cat "$work/err" >&2
    exit 1
}

# The trailer that gzip writes begins with the CRC-32 of its input.
crc() { gzip -1 -c <"$1" | tail -c 8 | od -An -N4 -tx4 | tr -d ' '; }

fits() { [ -f "$1" ] && [ "$(wc -c <"$1")" -eq "$2" ] && [ "$(crc "$1")" = "$3" ]; }

# NAME BYTES CRC32 of each file of a manifest, a line each.
listed() {
    awk -F'"' '/"name"/ {name = $4} /"bytes"/ {bytes = $3; gsub(/[^0-9]/, "", bytes)}
               /"crc32"/ {print name, bytes, $4}' "$1"
}

# The manifest called next counts when it is there; its files are still called next, or already last.
check_folder() {
    manifest=$run/last.manifest.json
    [ ! -f "$run/next.manifest.json" ] || manifest=$run/next.manifest.json
    if [ -f "$manifest" ]; then
        listed "$manifest" >"$work/listed"
        [ "$(wc -l <"$work/listed")" -eq 2 ] || lost "$manifest does not list two files"
        while read -r name bytes sum; do
            next=$run/next.${name#last.}
            [ "$manifest" = "$run/next.manifest.json" ] && [ -f "$next" ] || next=$run/$name
            fits "$next" "$bytes" "$sum" || lost "$next is not what ${manifest##*/} says"
        done <"$work/listed"
    fi
    for f in "$run"/last.safetensors "$run"/checkpoint-*.safetensors "$run"/best.safetensors; do
        [ ! -f "$f" ] || "$mae" info "$f" >"$work/out" 2>"$work/err" || lost "$f does not load"
    done
}

phase() {
    if [ -f "$run/next.manifest.json" ]; then
        if [ -f "$run/next.safetensors" ]; then echo 'new checkpoint complete, not renamed'
        elif [ -f "$run/next.state.safetensors" ]; then echo 'between the renames'
        else echo 'files renamed, manifest not'; fi
    elif [ -f "$run/next.manifest.json.tmp" ]; then echo 'while the manifest was written'
    elif [ -f "$run/next.safetensors.tmp" ]; then echo 'while weights were written'
    elif [ -f "$run/next.state.safetensors.tmp" ]; then echo 'while state was written'
    elif [ -f "$run/next.safetensors" ]; then echo 'between two files of a checkpoint'
    elif [ ! -f "$run/last.manifest.json" ]; then echo 'before the first save'
    else echo 'between saves'; fi
}

manifest_of() { sed 's/"seconds": [^,]*//' "$1/last.manifest.json"; } # but for the time it took
log_of() { sed 's/"images_per_s":[^,}]*//' "$1/log.jsonl"; }

compare() {
    for f in last.safetensors last.state.safetensors; do
        cmp "$undisturbed/$f" "$run/$f" >"$work/err" 2>&1 || lost "$f differs at the end"
    done
    [ "$(manifest_of "$undisturbed")" = "$(manifest_of "$run")" ] ||
        lost 'last.manifest.json differs at the end'
    for f in "$undisturbed"/checkpoint-* "$undisturbed"/best.* "$undisturbed"/reconstructions/*; do
        [ ! -e "$f" ] || cmp "$f" "$run${f#"$undisturbed"}" >"$work/err" 2>&1 ||
            lost "${f#"$undisturbed/"} differs at the end"
    done
    [ "$(log_of "$undisturbed")" = "$(log_of "$run")" ] || lost 'log.jsonl differs at the end'
    names "$undisturbed" >"$work/names"
    names "$run" >"$work/err"
    cmp -s "$work/names" "$work/err" || lost 'the folder holds other files at the end'
}

names() { (cd "$1" && find . -type f | sort); }

# --- the loop ----------------------------------------------------------------------------------------

# The next random number from 0 to below $1.
random() {
    state=$(awk -v s="$state" 'BEGIN {printf "%d", (s * 16807) % 2147483647}')
    number=$(awk -v s="$state" -v n="$1" 'BEGIN {printf "%d", s % n}')
}

# Starts or continues $run and kills it; sets ended when it came to its end instead.
disturb() {
    ended= at=0
    random 2
    if [ "$number" -eq 0 ]; then
        random 150
        at=$((number + 1))
    fi
    # shellcheck disable=SC2086 # lists of words
    LD_PRELOAD=$shim MAE_SLOW_US=1000 MAE_KILL_AT=$at "$mae" $command --out "$run" \
        >"$work/out" 2>"$work/err" &
    process=$!
    if [ $at -eq 0 ]; then
        random 1000
        sleep "$(awk -v n="$number" -v t="${LONGEST:-0.6}" 'BEGIN {printf "%.3f", t * n / 1000}')"
        kill -9 $process 2>/dev/null
    fi
    wait $process 2>/dev/null
    status=$?
    process=
    case $status in
    0) ended=1 ;;
    137) ;;
    *) lost "continuing ended with status $status" ;;
    esac
}

for kind in pretrain finetune; do
    eval "command=\$$kind"
    # shellcheck disable=SC2086
    LD_PRELOAD=$shim "$mae" $command --out "$work/$kind" >/dev/null || exit 1
done

made=0 runs=0 state=${SEED:-1} run=$work/run
: >"$work/phases"
while [ $made -lt "$kills" ]; do
    if [ $((runs % 2)) -eq 0 ]; then kind=pretrain; else kind=finetune; fi
    eval "command=\$$kind"
    undisturbed=$work/$kind ended=
    rm -rf "$run"
    while [ -z "$ended" ]; do
        if [ $made -lt "$kills" ]; then
            disturb
        else
            # shellcheck disable=SC2086
            LD_PRELOAD=$shim "$mae" $command --out "$run" >"$work/out" 2>"$work/err" ||
                lost 'the last part failed'
            ended=1
        fi
        [ -z "$ended" ] || break
        made=$((made + 1))
        phase >>"$work/phases"
        check_folder
    done
    compare
    runs=$((runs + 1))
done
sort "$work/phases" | uniq -c
echo "$made kills in $runs runs, nothing lost"
