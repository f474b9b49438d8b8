#!/bin/sh
# What checkpoints of other tools do not say: the assumption is said by every command that loads one.
# Usage: sh assumed.sh PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

work='--threads 1 --workers 1'
sets='--data synthetic:8x8x8 --val synthetic:8x8x8'

# nameless FROM TO: a copy of a converted file without what this project wrote down for itself.
nameless() { LC_ALL=C sed 's/"written_by"/"xritten_by"/' "$1" >"$2"; }

run 0 pretrain --quiet --data synthetic:8x8x8 --out "$dir/run" --model vit_tiny --image-size 8 --patch 4 \
    --depth 1 --decoder-embed-dim 8 --decoder-depth 1 --decoder-heads 2 --batch 8 --steps 1 $work
run 0 convert "$dir/run/last.safetensors" "$dir/own.safetensors" --to timm
nameless "$dir/own.safetensors" "$dir/foreign.safetensors"
picture=$dir/run/reconstructions/0.png

case_ 'every command says what it assumes'
for command in "0 features --data synthetic:4x8x8 --out $dir/f.npy" "0 knn $sets --k 2" \
    "1 reconstruct --out $dir/x.png $picture" "1 eval --val synthetic:8x8x8" "1 classify $picture"; do
    # shellcheck disable=SC2086
    run $command --model "$dir/foreign.safetensors" --threads 1
    err 'foreign.safetensors.*heads'
done
run 0 convert "$dir/foreign.safetensors" "$dir/x.safetensors" --to official
err 'foreign.safetensors.*heads'
run 0 features --quiet --model "$dir/foreign.safetensors" --data synthetic:4x8x8 --out "$dir/f.npy" --threads 1
no_err
end

finish
