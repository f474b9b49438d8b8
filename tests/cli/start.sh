#!/bin/sh
# What training starts from: sizes of the file of --init, what it lacks, run folders as checkpoints, heads
# of other classes. Usage: sh start.sh PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

work='--threads 1 --workers 1'
data='--data synthetic:8x8x8'
short="--batch 8 --steps 1 --epochs 1 --warmup-epochs 0 $work"

# pretrain STATUS RUN ARGS...
pretrain() {
    want_status=$1 run_dir=$dir/$2
    shift 2
    # shellcheck disable=SC2086 # lists of words
    run "$want_status" pretrain $data --out "$run_dir" $short "$@"
}

# info FILE LINE...: `mae info` has these.
info() {
    run 0 info "$1"
    shift
    for line; do out "$line"; done
}

pretrain 0 mae --embed-dim 16 --depth 2 --heads 4 --mlp-ratio 2 --image-size 8 --patch 4 --decoder-embed-dim 8 \
    --decoder-depth 1 --decoder-heads 2 --target pixel --mean 0.5
run 0 convert "$dir/mae/last.safetensors" "$dir/encoder.safetensors" --to timm
run 0 convert "$dir/mae/last.safetensors" "$dir/hf" --to hf

case_ 'sizes are those of the file'
pretrain 0 more --init "$dir/mae/last.safetensors"
info "$dir/more/last.safetensors" '^image *8x8, 3 channels, patch 4' '^encoder *width 16, depth 2, heads 4' \
    '^decoder *width 8, depth 1, heads 2, target pixel' '^pixels *mean 0.5,0.5,0.5'
grep -q '"embed_dim": 16' "$dir/more/config.json" || wrong 'config.json lacks the width'
grep -q '"target": "pixel"' "$dir/more/config.json" || wrong 'config.json lacks the target'
pretrain 0 more --epochs 2 --steps 2 --accept-changes
err '[Rr]esum'
pretrain 0 repeated --init "$dir/mae/last.safetensors" --embed-dim 16 --depth 2 --heads 4 --patch 4 --image-size 8
run 0 plan pretrain $data --init "$dir/mae/last.safetensors" --batch 8
out 'patch 4, 8x8'
end

case_ 'options that contradict it'
for wrong_size in 'patch 2' 'depth 3' 'embed-dim 32' 'heads 2' 'channels 1' 'mlp-ratio 4' 'decoder-depth 2' 'model vit_tiny' \
    'target pca'; do
    # shellcheck disable=SC2086
    pretrain 2 none --init "$dir/mae/last.safetensors" --${wrong_size}
    err "--$wrong_size: .*mae/last.safetensors has"
done
[ ! -e "$dir/none/last.safetensors" ] || wrong 'a run was begun'
end

case_ 'an encoder gets a fresh decoder'
pretrain 0 fresh --init "$dir/encoder.safetensors" --decoder-depth 1 --decoder-embed-dim 12 --decoder-heads 3
err 'has no decoder: a new one, width 12, depth 1, heads 3'
info "$dir/fresh/last.safetensors" '^decoder *width 12, depth 1, heads 3, target norm-pix'
pretrain 0 fresh-pca --init "$dir/encoder.safetensors" --decoder-depth 1 --decoder-embed-dim 12 --decoder-heads 3 \
    --target pca --pca-components 4
err 'fitting 4 principal components'
end

case_ 'another image size gets new positions'
pretrain 0 larger --init "$dir/hf" --image-size 8x16
err 'positions of 2x2 patches .* new sin-cos positions of 2x4'
info "$dir/larger/last.safetensors" '^image *8x16'
end

case_ 'a run folder is a model'
for command in "features $data --out $dir/f.npy --model $dir/mae" "features $data --out $dir/g.npy --model $dir/mae/last.safetensors" \
    "info $dir/mae" "convert $dir/mae $dir/x.safetensors --to official"; do
    # shellcheck disable=SC2086
    run 0 $command
done
err 'mae is a run folder: .*mae/last.safetensors is taken'
same "$dir/f.npy" "$dir/g.npy"
pretrain 0 from-run --init "$dir/mae"
same "$dir/from-run/last.safetensors" "$dir/repeated/last.safetensors"
# shellcheck disable=SC2086
run 0 finetune $data --val synthetic:8x8x8 --init "$dir/mae" --out "$dir/ft" $short
run 0 eval --model "$dir/ft" --val synthetic:8x8x8 $work
err 'ft is a run folder: .*ft/best.safetensors is taken'
pretrain 0 from-classifier --init "$dir/ft" --decoder-depth 1
err 'the head of .* is left out'
err 'no norm behind its blocks'
mkdir "$dir/empty" "$dir/begun"
touch "$dir/begun/log.jsonl" "$dir/begun/config.json"
for command in "features $data --out $dir/f.npy --model" info; do
    # shellcheck disable=SC2086
    run 1 $command "$dir/empty"
    err 'empty: the folder holds neither a run'
    run 1 $command "$dir/begun"
    err 'no checkpoint has been saved yet'
done
end

case_ 'a head of other classes is not kept'
# sets FOLDER NAME...: a folder of images with these classes
sets() {
    set_dir=$dir/$1
    shift
    for class; do
        mkdir -p "$set_dir/$class"
        cp "$dir"/mae/reconstructions/*.png "$set_dir/$class/a.png"
        cp "$dir"/mae/reconstructions/*.png "$set_dir/$class/b.png"
    done
}
sets animals ant bee cat
sets others dog elk fox
sets more ant bee cat dog
# tune RUN SET INIT
tune() {
    # shellcheck disable=SC2086
    run 0 finetune --data "$dir/$2" --val-share 0.5 --init "$dir/$3" --out "$dir/$1" --batch 2 --steps 1 --epochs 1 \
        --warmup-epochs 0 $work
}
tune ft-a animals mae
tune ft-b animals ft-a
err 'the head of .* is kept$'
tune ft-c others ft-a
err 'a new head, not that of .*ft-a.*class dog of --data is none'
tune ft-d more ft-a
err 'a new head, not that of .*ft-a.*3 classes, --data 4'
run 0 convert "$dir/ft-a" "$dir/named.safetensors" --to timm
LC_ALL=C sed 's/"written_by"/"xritten_by"/; s/"class_names"/"xlass_names"/' "$dir/named.safetensors" >"$dir/nameless.safetensors"
# shellcheck disable=SC2086
run 0 finetune --data "$dir/others" --val-share 0.5 --init "$dir/nameless.safetensors" --heads 4 --out "$dir/ft-e" \
    --batch 2 --steps 1 --epochs 1 --warmup-epochs 0 $work
err 'is kept; it has no class names'
end

finish
