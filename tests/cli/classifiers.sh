#!/bin/sh
# Fine-tuning, probing, evaluating and classifying as a user would. Usage: sh classifiers.sh
# PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

size='--image-size 32 --patch 8 --embed-dim 32 --depth 3 --heads 2'
sets='--data synthetic:64x32x32 --val synthetic:30x32x32'
short='--epochs 4 --batch 16 --warmup-epochs 1 --lr 1e-3 --log-every 1 --threads 2 --workers 2'

# What differs between two runs of the same training: their speed.
steps() { sed 's/"images_per_s":[^,]*,//' "$1/log.jsonl"; }

run 0 pretrain --quiet --data synthetic:64x32x32 --out "$dir/mae" $size --decoder-embed-dim 32 \
    --decoder-depth 1 --decoder-heads 2 --epochs 2 --batch 16 --warmup-epochs 1 --threads 2
mae_model=$dir/mae/last.safetensors

# --- fine-tuning -------------------------------------------------------------------------------

tune="finetune $sets --init $mae_model $short --ema 0.9 --drop-path 0.2 --erase-prob 0.5 --save-every 2"

case_ 'finetune'
run 0 $tune --out "$dir/ft"
out 'best        top-1'
err 'epoch 4: top-1 .* averaged weights'
err 'training [0-9]* of [0-9]* parameters, 10 classes'
file "$dir/ft/config.json" "$dir/ft/log.jsonl" "$dir/ft/last.safetensors" "$dir/ft/best.safetensors" \
    "$dir/ft/last.state.safetensors" "$dir/ft/checkpoint-4.safetensors" "$dir/ft/summary.json" \
    "$dir/ft/curves.svg"
[ "$(grep -c '"kind":"epoch".*"top1":.*"top5":.*"val_loss":.*"ema_top1":' "$dir/ft/log.jsonl")" -eq 4 ] ||
    wrong 'log.jsonl lacks epochs'
grep -q '"layer_decay": 0.65' "$dir/ft/config.json" || wrong 'config.json lacks the recipe'
end

case_ 'a resumed fine-tuning is the same fine-tuning'
run 0 $tune --out "$dir/ft2" --steps 6
run 0 $tune --out "$dir/ft2" --steps 11 --threads 1 --workers 0
run 0 $tune --out "$dir/ft2" --steps 0 --workers 1
same "$dir/ft/last.safetensors" "$dir/ft2/last.safetensors"
same "$dir/ft/last.state.safetensors" "$dir/ft2/last.state.safetensors"
same "$dir/ft/best.safetensors" "$dir/ft2/best.safetensors"
steps "$dir/ft" >"$dir/a"
steps "$dir/ft2" >"$dir/b"
same "$dir/a" "$dir/b"
end

case_ 'a killed fine-tuning goes on'
run 0 $tune --out "$dir/whole" --epochs 12
for delay in 0.15 0.3 0.45; do
    "$mae" $tune --out "$dir/killed" --epochs 12 --save-every 1 >/dev/null 2>&1 &
    child=$!
    sleep $delay
    kill -9 $child 2>/dev/null
    wait $child 2>/dev/null
done
run 0 $tune --out "$dir/killed" --epochs 12 --save-every 1
same "$dir/whole/last.safetensors" "$dir/killed/last.safetensors"
same "$dir/whole/last.state.safetensors" "$dir/killed/last.state.safetensors"
steps "$dir/whole" >"$dir/a"
steps "$dir/killed" >"$dir/b"
same "$dir/a" "$dir/b"
end

case_ 'from scratch, and other sizes of image'
run 0 finetune $sets --init none $size $short --out "$dir/scratch" --steps 2 --json --quiet
json top1 best_top1 best_epoch
grep -q '"ema": 0.9999' "$dir/scratch/config.json" || wrong 'config.json lacks the recipe of scratch'
run 0 finetune $sets --init "$mae_model" $short --out "$dir/large" --image-size 48x64 --steps 2
err 'positions were interpolated from 4x4 to 6x8 patches'
end

case_ 'a part of the blocks'
run 0 finetune $sets --init "$mae_model" $short --out "$dir/half" --tune-blocks 0.5 --steps 2
err 'training [0-9]* of'
trained=$(sed -n 's/^training \([0-9]*\) of .*/\1/p' "$dir/err")
# norm2, fc1, fc2 of a block of width 32, fc_norm, head
[ "$trained" -eq $((2 * 32 + 128 * 33 + 32 * 129 + 2 * 32 + 10 * 33)) ] ||
    wrong "--tune-blocks 0.5 trains $trained values"
end

case_ 'plans of classifiers'
run 0 plan finetune $sets --init "$mae_model" --tune-blocks 1
out 'optimiser'
run 0 plan probe $sets --init "$mae_model" --batch 16 --json
json parameters trained_parameters gflop_per_image bytes_total lr
out '"trained_parameters":330'
end

case_ 'a share held out for validation'
run 0 finetune --data synthetic:80x32x32 --val-share 0.2 --init "$mae_model" $short --epochs 1 \
    --out "$dir/split"
grep -q '"step":4,.*"top1":' "$dir/split/log.jsonl" || wrong 'not 64 images to train on'
usage 'val and --val-share together' finetune $sets --val-share 0.2 --init "$mae_model" --out "$dir/x"
run 1 finetune --data synthetic:80x32x32 --val-share 0.001 --init "$mae_model" --out "$dir/x"
err 'leaves nothing'
end

case_ 'what cannot be fine-tuned'
usage 'no checkpoint to start from' finetune $sets --out "$dir/x"
usage 'no validation images' finetune --data synthetic:64x32x32 --init none --out "$dir/x"
usage 'embed-dim 64: .* has 32' finetune $sets --init "$mae_model" --embed-dim 64 --out "$dir/x"
usage 'the model has 3 blocks' finetune $sets --init "$mae_model" --tune-blocks 4 --out "$dir/x"
usage 'whole and half blocks' finetune $sets --init "$mae_model" --tune-blocks 0.3 --out "$dir/x"
usage 'even batch' finetune $sets --init "$mae_model" --batch 15 --out "$dir/x"
usage 'm9-n2-mstd0.5-inc1' finetune $sets --init "$mae_model" --randaugment m9-q1 --out "$dir/x"
run 1 finetune $sets --init "$dir/none.safetensors" --out "$dir/x"
err 'none.safetensors: cannot open'
mkdir -p "$dir/flat" "$dir/empty"
run 0 reconstruct --quiet --model "$mae_model" --out "$dir/flat/a.png" "$dir/mae/reconstructions/2.png"
run 1 finetune --data "$dir/flat" --val synthetic:30x32x32 --init "$mae_model" --out "$dir/x"
err 'data has no labels'
run 1 finetune --data synthetic:64x32x32 --val "$dir/empty" --init "$mae_model" --out "$dir/x"
err 'empty'
mkdir -p "$dir/other/cat"
cp "$dir/flat/a.png" "$dir/other/cat/"
run 1 finetune --data synthetic:64x32x32 --val "$dir/other" --init "$mae_model" --out "$dir/x"
err "class cat of --val is none of the model's 10 classes"
run 1 finetune --data "$dir/other" --val "$dir/other" --accept-overlap --init "$mae_model" --out "$dir/x"
err '0 updates an epoch: it has '
[ ! -e "$dir/x" ] || wrong 'a run folder was made'
end

# --- probing -----------------------------------------------------------------------------------

probe="probe $sets --init $mae_model --epochs 5 --batch 16 --warmup-epochs 1 --lr 0.5 --log-every 1
       --threads 2"

case_ 'probe'
run 0 $probe --out "$dir/probe"
out 'best        top-1'
err 'training 330 of'
file "$dir/probe/best.safetensors" "$dir/probe/curves.svg"
for optimizer in sgd adamw; do
    run 0 $probe --out "$dir/probe-$optimizer" --optimizer $optimizer --pool mean --steps 3
done
end

case_ 'cached features give the same probe'
run 0 $probe --out "$dir/plain" --augment none
run 0 $probe --out "$dir/cached" --augment none --cache-features --steps 7
run 0 $probe --out "$dir/cached" --augment none --cache-features --steps 0
same "$dir/plain/last.safetensors" "$dir/cached/last.safetensors"
steps "$dir/plain" >"$dir/a"
steps "$dir/cached" >"$dir/b"
same "$dir/a" "$dir/b"
usage 'only with --augment none' $probe --out "$dir/x" --cache-features
end

# --- evaluating --------------------------------------------------------------------------------

case_ 'eval'
run 0 eval --model "$dir/ft/best.safetensors" --val synthetic:30x32x32 --json --quiet \
    --confusion "$dir/confusion.csv" --batch 7
json images top1 top5 loss classes
out '"images":30'
file "$dir/confusion.csv"
[ "$(wc -l <"$dir/confusion.csv")" -eq 11 ] || wrong 'confusion.csv has not a line a class'
top1=$(sed 's/.*"top1":\([0-9.]*\).*/\1/' "$dir/out")
best=$(sed -n 's/.*"best_top1": \([0-9.]*\).*/\1/p' "$dir/ft/summary.json")
awk "BEGIN { exit !($top1 - $best < 1e-6 && $best - $top1 < 1e-6) }" ||
    wrong "eval says $top1, the run said $best"
run 0 eval --model "$dir/probe/best.safetensors" --val synthetic:30x32x32
out 'top-1'
end

case_ 'eval of a part of the classes'
printf '3\n4\n' >"$dir/two.txt"
run 1 eval --model "$dir/ft/best.safetensors" --val synthetic:30x32x32 --classes "$dir/two.txt"
err 'does not say what class 2 of the data is'
seq 0 9 >"$dir/all.txt"
run 0 eval --model "$dir/ft/best.safetensors" --val synthetic:30x32x32 --classes "$dir/all.txt" --json
out "\"top1\":$top1"
end

case_ 'corruptions'
run 0 eval --model "$dir/ft/best.safetensors" --val synthetic:20x32x32 --corruptions fog,contrast \
    --baseline none --json --quiet
json corruptions mean_corruption_error baseline
mv "$dir/out" "$dir/baseline.json"
run 0 eval --model "$dir/ft/best.safetensors" --val synthetic:20x32x32 --corruptions fog,contrast \
    --baseline "$dir/baseline.json"
out 'mean corruption error  100.00 %'
run 0 eval --model "$dir/ft/best.safetensors" --val synthetic:20x32x32 --corruptions fog
out '^mean error '
err 'known for the 1000 classes of ImageNet only'
usage 'mist is none of them' eval --model "$dir/ft/best.safetensors" --val synthetic:20x32x32 \
    --corruptions mist
end

case_ 'eval and classify need a classifier'
run 1 eval --model "$mae_model" --val synthetic:30x32x32
err 'no classifier'
run 1 classify --model "$mae_model" "$dir/flat/a.png"
err 'no classifier'
usage 'IMAGE is needed' classify --model "$dir/ft/best.safetensors"
end

case_ 'classify'
run 0 classify --model "$dir/ft/best.safetensors" --top 3 "$dir/flat/a.png" "$dir/flat/a.png"
[ "$(grep -c '%' "$dir/out")" -eq 6 ] || wrong "$last: not three classes an image"
run 0 classify --model "$dir/probe/best.safetensors" --json "$dir/flat/a.png"
json images
out '"probability":'
run 1 classify --model "$dir/ft/best.safetensors" "$dir/none.png" "$dir/flat/a.png"
err 'none.png'
out 'a.png'
run 1 classify --model "$dir/ft/best.safetensors" --json --quiet "$dir/none.png"
out '^{"images":\[\]}$'
err '^error: .*none.png: cannot open'
end

case_ 'classify takes folders and lists, and gives what it gives one by one'
mkdir -p "$dir/many/deep"
for n in 1 2 3 4 5 6 7 8 9; do # pictures of many sizes, one of them the model's
    run 0 features --quiet --model "$mae_model" --data synthetic:$n"x32x32" --threads 1 \
        --attention "$dir/many/$n.png"
done
cp "$dir/many/1.png" "$dir/many/deep/20.png"
cp "$dir/many/2.png" "$dir/many/deep/21.png"
find "$dir/many" -name '*.png' | sort >"$dir/paths"
classify="classify --model $dir/ft/best.safetensors --threads 2 --quiet"
: >"$dir/a"
while read -r image; do
    run 0 $classify "$image"
    cat "$dir/out" >>"$dir/a"
done <"$dir/paths"
"$mae" $classify - <"$dir/paths" >"$dir/b" 2>"$dir/err" || wrong "a list: $(cat "$dir/err")"
same "$dir/a" "$dir/b"
run 0 $classify "list:$dir/paths" --workers 0
same "$dir/a" "$dir/out"
run 0 $classify "$dir/many"
sort "$dir/out" >"$dir/b"
sort "$dir/a" >"$dir/c"
same "$dir/b" "$dir/c"
run 1 $classify --json "$dir/many/deep" "$dir/none.png" "$dir/many/3.png"
[ "$(grep -o '"image"' "$dir/out" | wc -l)" -eq 3 ] || wrong "$last: not three images"
end

finish
