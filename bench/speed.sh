#!/bin/sh
# bench/speed.sh [--small] [--data SRC] [MAE]: the rows of SPEED.md's table that need no other
# program: whole steps beside the FMA peak of the same run, the gain of a second thread, memory,
# loader (on SRC, photos best) and start. --small: narrow models, to try the script out.
set -eu

small= data=synthetic:256x375x500
while [ $# -gt 0 ]; do
    case $1 in
    --small) small='--embed-dim 48 --depth 2 --heads 2 --decoder-embed-dim 48 --decoder-heads 2' ;;
    --data) data=$2; shift ;;
    -*) echo "speed.sh: there is no option $1" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done
mae=${1:-build/mae}
work=$(mktemp -d "${TMPDIR:-/tmp}/mae-speed.XXXXXX")
trap 'rm -rf "$work"' EXIT

# number KEY: of the JSON line in $json.
number() { echo "$json" | sed -n "s/.*\"$1\":\([-+0-9.eE]*\).*/\1/p"; }

# compute EXPRESSION: with the digits of a printf format in front, as compute %.2f '1 / 3'.
compute() { awk "BEGIN { printf \"$1\", $2 }"; }

step() { json=$("$mae" bench step "$@" $small --json); }

# row WHAT OPTIONS...: a whole step.
row() {
    what=$1
    shift
    step "$@"
    printf '| %s | %s | %.2f images/s | %.0f of %.0f GFLOP/s | **%s %%** | %s |\n' "$what" \
        "$(number threads)" "$(number images_per_s_median)" "$(number gflops)" \
        "$(number peak_gflops)" "$(compute %.1f "100 * $(number fraction_of_peak)")" \
        "$(compute '%.2f GB planned / %.2f GB resident = %.2f' \
            "$(number bytes_planned) / 1e9, $(number bytes_peak_rss) / 1e9, \
             $(number bytes_planned) / $(number bytes_peak_rss)")"
}

# In turn, so that a slow minute meets both.
second_thread() {
    one= two=
    for round in 1 2 3; do
        step --model vit_base --batch 32 --repetitions 2 --threads 1
        one="$one $(number images_per_s_median)"
        step --model vit_base --batch 32 --repetitions 2 --threads 2
        two="$two $(number images_per_s_median)"
    done
    echo "2 threads against 1, vit_base, batch 32: $(compute %.2f \
        "$(middle $two) / $(middle $one)")x ($(middle $two) against $(middle $one) images/s)"
}

middle() { printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"; }

# milliseconds COMMAND...: the median of five runs.
milliseconds() {
    runs=
    for round in 1 2 3 4 5; do
        rm -rf "$work/tiny"
        begun=$(date +%s%N)
        "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
        runs="$runs $((($(date +%s%N) - begun) / 1000))"
    done
    compute %.1f "$(middle $runs) / 1000"
}

start() {
    tiny='--model vit_tiny --image-size 32 --patch 4 --depth 2 --data synthetic:64x32x32 --batch 8
          --steps 1'
    echo "pretrain of one step on a small set, from start to end, files written: $(milliseconds \
        "$mae" pretrain $tiny --out "$work/tiny") ms"
    "$mae" pretrain --quiet --model vit_base --data synthetic:1x224x224 --batch 1 --steps 1 $small \
        --out "$work/base" >/dev/null
    bytes=$(wc -c <"$work/base/last.safetensors")
    echo "info on a file of $((bytes / 1000000)) MB: $(milliseconds \
        "$mae" info "$work/base/last.safetensors") ms"
}

loader() {
    json=$("$mae" bench data --data "$data" --augment crop --batch 64 --workers 1 --cache-mb 0 \
        --json)
    echo "loader, crops of 224 from $data, one worker: $(compute %.0f \
        "$(number images_per_s_median)") images/s"
}

echo '| whole step | threads | speed | compute | share of FMA peak | memory |'
echo '|---|---|---|---|---|---|'
row 'pre-training, vit_base, batch 32' --model vit_base --batch 32
row 'pre-training, vit_tiny patch 4, 32x32, batch 128' \
    --model vit_tiny --image-size 32 --patch 4 --batch 128 --repetitions 9
row 'fine-tuning, vit_base, batch 8' --task finetune --model vit_base --batch 8
row 'features, vit_base, batch 16' --task features --model vit_base --batch 16 --repetitions 9
row 'features, vit_base, one image' --task features --model vit_base --batch 1 --repetitions 25
echo
[ "$(nproc)" -lt 2 ] || second_thread
loader
start
