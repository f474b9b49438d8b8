#!/bin/sh
# --max-pixels of every command that decodes images, --max-entries, depth of JSON. Usage as of run.sh.
. "${0%/*}/language.inc"

size='--image-size 8 --patch 4 --embed-dim 8 --depth 1 --heads 2'
short='--batch 2 --epochs 1 --warmup-epochs 0 --threads 1 --workers 1 --quiet'
big='41 x 29 pixels are more than the limit of 1188; shrink the image, or raise the limit with --max-pixels'

run 0 pretrain $size --decoder-embed-dim 8 --decoder-depth 1 --decoder-heads 2 $short \
    --data synthetic:4x8x8 --out "$dir/mae"
model=$dir/mae/last.safetensors
run 0 finetune $size $short --init none --data synthetic:4x8x8 --val synthetic:4x8x8 --out "$dir/ft"
classifier=$dir/ft/last.safetensors

mkdir -p "$dir/set/0" "$dir/set/1"
cp "${0%/*}/../fuzz/corpus/png/rgb" "$dir/set/0/1.png"
cp "$dir/set/0/1.png" "$dir/set/1/2.png"
image=$dir/set/0/1.png set=folder:$dir/set

case_ 'an image of too many pixels'
limit='--max-pixels 1188'
run 1 pretrain $size $short --strict --data "$set" --out "$dir/r1" $limit
err "$big"
run 1 finetune $size $short --strict --init none --data "$set" --val "$set" --accept-overlap --out "$dir/r2" $limit
err "$big"
run 1 probe $short --strict --init "$model" --data "$set" --val "$set" --accept-overlap --out "$dir/r3" $limit
err "$big"
run 1 reconstruct --model "$model" --out "$dir/r.png" "$image" $limit
err "$image: $big"
run 1 features --model "$model" --data "$set" --out "$dir/f.npy" --quiet $limit
err "$big"
run 1 knn --model "$model" --data "$set" --val "$set" --k 1 --accept-overlap --quiet $limit
err "$big"
run 1 eval --model "$classifier" --val "$set" --quiet $limit
err "$big"
run 1 classify --model "$classifier" "$image" $limit
err "$image: $big"
run 1 convert "$model" "$dir/out.safetensors" --verify "$image" $limit
err "$image: $big"
run 0 reconstruct --model "$model" --out "$dir/r.png" "$image" --max-pixels 1189
run 1 bench data --data "$set" --batch 2 $limit
err "$big"
end

case_ 'a list of too many images'
printf '1.png\n2.png\n3.png\n' >"$dir/list.txt"
run 1 features --model "$model" --data "$dir/list.txt" --out "$dir/f.npy" --max-entries 2
err 'list.txt: more than the limit of 2 entries; split it, or raise the limit with --max-entries'
end

case_ 'JSON of too many levels beside weights'
run 0 convert "$model" "$dir/hf" --to hf
echo "{$(printf '"a":{%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 \
    29 30 31 32 33)" >"$dir/hf/config.json"
run 0 info "$dir/hf"
out 'config.json is damaged and left out (line 1: nested more than 32 deep)'
end

case_ 'limits that are none'
run 2 features --model "$model" --data "$set" --out "$dir/f.npy" --max-pixels 0
err '--max-pixels 0: must be 1 to 2147483647'
run 2 info "$model" --max-pixels 5
err 'there is no option --max-pixels here'
end
finish
