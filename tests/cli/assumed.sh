#!/bin/sh
# What checkpoints of other tools do not say, what lies beside them, and --mean and --std.
# Usage: sh assumed.sh PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

work='--threads 1 --workers 1'
sets='--data synthetic:8x8x8 --val synthetic:8x8x8'
short="--batch 8 --steps 1 --epochs 1 --warmup-epochs 0 $work"

# nameless FROM TO: a copy of a converted file without what this project wrote down for itself.
nameless() { LC_ALL=C sed 's/"written_by"/"xritten_by"/' "$1" >"$2"; }

# features_of FILE ARGS...: into $dir/FILE.npy
features_of() {
    npy=$dir/$1.npy
    shift
    run 0 features --data synthetic:4x8x8 --out "$npy" --threads 1 "$@"
}

# A classifier whose positions were trained, so that nothing shows where it comes from.
# shellcheck disable=SC2086
run 0 finetune --quiet $sets --init none --out "$dir/run" --model vit_tiny --image-size 8 --patch 4 --depth 1 \
    --lr 0.1 $short
run 0 convert "$dir/run/last.safetensors" "$dir/own.safetensors" --to timm
foreign=$dir/foreign.safetensors
nameless "$dir/own.safetensors" "$foreign"
mkdir "$dir/pictures"
run 0 pretrain --quiet --data synthetic:8x8x8 --out "$dir/mae" --model vit_tiny --image-size 8 --patch 4 --depth 1 \
    --decoder-embed-dim 8 --decoder-depth 1 --decoder-heads 2 $short
picture=$(ls "$dir"/mae/reconstructions/*.png | head -n 1)

case_ 'every command says what it assumes'
for command in "0 features --data synthetic:4x8x8 --out $dir/f.npy" "0 knn $sets --k 2" \
    "1 reconstruct --out $dir/x.png $picture" "0 eval --val synthetic:8x8x8" "0 classify $picture"; do
    # shellcheck disable=SC2086
    run $command --model "$foreign" --threads 1
    err '^warning: .*foreign.safetensors.*mean 0.485,0.456,0.406, deviation 0.229,0.224,0.225 assumed'
    [ "$(grep -c assumed "$dir/err")" -eq 1 ] || wrong "$last: said more than once"
done
for command in finetune "probe --pool mean"; do
    # shellcheck disable=SC2086
    run 0 $command $sets --init "$foreign" --out "$dir/${command%% *}" $short
    err '^warning: .*mean 0.485,0.456,0.406, deviation 0.229,0.224,0.225 assumed'
    [ "$(grep -c assumed "$dir/err")" -eq 1 ] || wrong "$last: said more than once"
done
run 0 convert "$foreign" "$dir/x.safetensors" --to official --verify "$picture"
err '^warning: .*assumed'
[ "$(grep -c assumed "$dir/err")" -eq 1 ] || wrong "$last: said more than once"
run 0 info "$foreign"
out '^note .*assumed'
features_of quiet --quiet --model "$foreign"
no_err
end

case_ 'what the project of a file does to all of them is no warning'
run 0 convert "$dir/mae/last.safetensors" "$dir/official.safetensors" --to official
nameless "$dir/official.safetensors" "$dir/mae.safetensors"
features_of mae --model "$dir/mae.safetensors" --heads 3 --decoder-heads 2
err 'pixel statistics of ImageNet, as facebookresearch/mae has them'
grep -q '^warning' "$dir/err" && wrong "$last: $(grep '^warning' "$dir/err")"
end

case_ 'config.json of timm, in its folder and beside its file'
mkdir "$dir/timm"
cp "$foreign" "$dir/timm/model.safetensors"
echo '{"architecture": "vit_tiny_patch16_224", "num_classes": 10, "label_names": ["a", "b", "c"], "pretrained_cfg":
 {"input_size": [3, 224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}' >"$dir/timm/config.json"
features_of given --model "$foreign" --mean 0.5 --std 0.25,0.25,0.25
for path in timm timm/model.safetensors; do
    features_of beside --model "$dir/$path"
    grep -q '^warning' "$dir/err" && wrong "$last: $(grep '^warning' "$dir/err")"
    same "$dir/given.npy" "$dir/beside.npy"
done
end

case_ 'statistics that are given are kept'
# shellcheck disable=SC2086
tune() { run "$1" finetune $sets --init "$foreign" --out "$dir/kept" $short $2 $3 $4 $5; }
tune 0 --mean 0.5 --std 0.25
grep -q assumed "$dir/err" && wrong "$last: assumes what was given"
grep -q '"mean": "0.5"' "$dir/kept/config.json" || wrong 'config.json lacks the mean'
run 0 info "$dir/kept/last.safetensors"
out '^pixels *mean 0.5,0.5,0.5, deviation 0.25,0.25,0.25'
tune 0
tune 2 --mean 0.4
err 'mean 0.5 -> 0.4 (the model of a run cannot change'
run 0 info "$dir/run/last.safetensors"
out '^pixels *mean 0.485,0.456,0.406'
grep -q '"std": "0.229,0.224,0.225"' "$dir/run/config.json" || wrong 'config.json lacks the deviation'
features_of plain --model "$dir/run/last.safetensors"
features_of told --model "$dir/run/last.safetensors" --mean 0.1
err 'mean 0.1,0.1,0.1, deviation 0.229,0.224,0.225, as told'
cmp -s "$dir/plain.npy" "$dir/told.npy" && wrong '--mean changes nothing'
end

case_ 'statistics that cannot be'
for wrong_list in '--mean 0.5,0.5' '--mean nan' '--std 0' '--std 0.1,-1,0.1' '--mean 123.675' '--std x'; do
    # shellcheck disable=SC2086
    run 2 features --data synthetic:4x8x8 --out "$dir/f.npy" --model "$foreign" $wrong_list
    err "${wrong_list% *}"
done
# shellcheck disable=SC2086
run 2 pretrain --data synthetic:8x8x8 --out "$dir/new" --mean 0.5,0.5 $short
end

finish
