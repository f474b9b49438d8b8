#!/bin/sh
# Which images a command takes, and what it says about them: parts drawn by the seed. Usage: sh
# sets.sh PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

size=$(tiny_model 8 4 8 1 1)
quick='--epochs 1 --batch 4 --warmup-epochs 0 --lr 1e-3 --threads 1 --workers 1 --quiet'
machine='--threads 1 --workers 1'
run 0 pretrain $size $quick --data synthetic:8x8x8 --out "$dir/mae" --steps 1
model=$dir/mae/last.safetensors

# The numbers of the synthetic images that FILE.txt names, on one line.
numbers() { sed 's/.*#//' "$dir/$1.txt" | tr '\n' ' '; }
features() { run 0 features --quiet --model "$model" $machine --out "$dir/$1.npy" --data synthetic:60x8x8 $2; }

# --- a part of the images ------------------------------------------------------------------------

case_ 'a limit is drawn by the seed, of every class its share, in order'
features a '--limit 20'
out '20 rows'
[ "$(sed 's/.*#//' "$dir/a.txt" | sort -n | tr '\n' ' ')" = "$(numbers a)" ] || wrong 'not in order'
[ "$(sed 's/.*#.*\(.\)$/\1/' "$dir/a.txt" | sort | uniq -c | awk '{print $1}' | sort -u)" = 2 ] ||
    wrong 'not two of each class'
features b '--limit 20 --workers 0'
same "$dir/a.npy" "$dir/b.npy"
features c '--limit 20 --seed 1'
[ "$(numbers a)" != "$(numbers c)" ] || wrong 'the seed draws nothing'
features d '--limit first:5'
[ "$(numbers d)" = '0 1 2 3 4 ' ] || wrong "the first five are $(numbers d)"
usage '--limit first: write N' features --model "$model" --data synthetic:60x8x8 --out "$dir/x.npy" --limit first
usage '--limit -3: write N' features --model "$model" --data synthetic:60x8x8 --out "$dir/x.npy" --limit=-3
end

case_ 'a limit of training, and the same after a resume'
part="--data synthetic:60x8x8 --limit 20 --save-every 1"
run 0 plan pretrain $size --data synthetic:60x8x8 --limit 20 --batch 4
out 'data .*; 20 of them, drawn by the seed'
out ', 5 an epoch'
run 0 pretrain $size $quick $part --epochs 2 --out "$dir/whole"
run 0 pretrain $size $quick $part --epochs 2 --out "$dir/halves" --steps 3
run 0 pretrain $size $quick --epochs 2 --out "$dir/halves" --steps 0
same "$dir/whole/last.safetensors" "$dir/halves/last.safetensors"
grep -q '"limit": "20"' "$dir/halves/config.json" || wrong 'config.json lacks the limit'
run 0 finetune --init "$model" $quick --data synthetic:60x8x8 --limit 20 --val synthetic:60x8x8 \
    --val-limit first:10 --out "$dir/tuned"
grep -q '"val_limit": "first:10"' "$dir/tuned/config.json" || wrong 'config.json lacks the limit of --val'
grep -q '"step":5,' "$dir/tuned/log.jsonl" || wrong 'not 20 images to train on'
end

case_ 'more neighbours than there are images'
usage '--k 21: there are only 20 images' knn --model "$model" $machine --data synthetic:60x8x8 \
    --val synthetic:20x8x8 --limit 20 --k 21
end

finish
