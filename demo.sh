#!/bin/sh
# Pre-trains a small masked autoencoder on photos, in about six minutes on two cores, installing and
# building included:
#   sh demo.sh            34 photos from two Debian packages (random crops of them)
#   sh demo.sh FOLDER     your own photos
# Ends with a reconstruction picture and the k-NN accuracy (which photo is this tile from) of the
# trained encoder beside the untrained one. MINUTES=N trains for another time (3).
set -eu
cd "$(dirname "$0")"
sh tools/install_deps.sh
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
echo "Building ..."
make -j"$jobs" build/mae > build.log 2>&1 || { tail -n 20 build.log; exit 1; }
mv build.log build/demo-make.log

work=build/demo
mkdir -p "$work"
if [ $# -gt 0 ]; then
    photos=$1
    [ -d "$photos" ] || { echo "$photos is not a folder" >&2; exit 1; }
else
    photos=$work/photos
    sh tools/get_photos.sh "$photos"
fi

minutes=${MINUTES:-3}
run=$work/run
model="--image-size 96 --patch 12 --embed-dim 192 --depth 6 --heads 6 --decoder-embed-dim 96
--decoder-depth 2 --decoder-heads 3"
data="--data folder:$photos --max-side 256 --repeat 32 --batch 64"
recipe="--target pixel --lr 1.5e-3 --warmup-epochs 3 --save-every 20"
knn() {
    build/mae knn --quiet --model "$1" --data "tiles:$photos:train" --val "tiles:$photos:test" \
        --max-side 256
}

rm -rf "$run" "$work/untrained" "$work/trial"
# One update at learning rate 0 is the untrained model; a short trial shows how fast this machine is.
# shellcheck disable=SC2086 # lists of words
build/mae pretrain --quiet --out "$work/untrained" $model $data $recipe --steps 1 > /dev/null
# shellcheck disable=SC2086
rate=$(build/mae pretrain --quiet --json --out "$work/trial" $model $data $recipe --steps 40 |
    sed 's/.*"images_per_s":\([0-9.e+-]*\).*/\1/')
# shellcheck disable=SC2086
updates=$(build/mae plan pretrain --json $model $data $recipe --epochs 1 |
    sed 's/.*"total_steps":\([0-9]*\).*/\1/')
epochs=$(awk -v m="$minutes" -v r="$rate" -v u="$updates" \
    'BEGIN {n = int(m * 60 * r / (u * 64)); if (n < 4) n = 4; print n}')
# shellcheck disable=SC2086
build/mae pretrain --out "$run" $model $data $recipe --epochs "$epochs"

# shellcheck disable=SC2046 # file names of a few photos
find "$photos" -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' -o -iname '*.webp' \) |
    sort | head -n 6 | tr '\n' '\0' |
    xargs -0 build/mae reconstruct --paste --model "$run/last.safetensors" --out "$work/reconstruction.png"
accuracy() { knn "$1" | sed -n 's/^accuracy *//p'; }
echo "Which photo is this tile from? (k-NN on features)"
echo "  untrained encoder: $(accuracy "$work/untrained/last.safetensors")"
echo "  trained encoder:   $(accuracy "$run/last.safetensors")"
echo "Look at $work/reconstruction.png: masked | reconstructed | original."
