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

# --- images that cannot be read --------------------------------------------------------------------

# Two classes of three images, one more in each that is none, the first and the last of all.
mkdir -p "$dir/good/a" "$dir/good/b"
draw() { run 0 reconstruct --quiet --model "$model" --seed $1 --out "$dir/good/$2" "$dir/mae/reconstructions/0.png"; }
for n in 1 2 3; do
    draw $n a/$n.png
    draw $((n + 3)) b/$n.png
done
cp -r "$dir/good" "$dir/bad"
echo 'not an image' >"$dir/bad/a/0.png"
head -c 60 "$dir/good/b/1.png" >"$dir/bad/b/9.png"
named() { err 'bad/a/0.png' && err 'bad/b/9.png'; }

case_ 'features leave unreadable images out'
run 0 features --model "$model" $machine --data "$dir/bad" --out "$dir/bad.npy" --block 1
named
out '6 rows of 8 values'
out 'without 2 that'
[ "$(wc -l <"$dir/bad.txt")" -eq 6 ] || wrong 'bad.txt has not 6 lines'
run 0 features --model "$model" $machine --data "$dir/good" --out "$dir/good.npy" --block 1
same "$dir/bad.npy" "$dir/good.npy"
run 0 features --model "$model" --threads 1 --workers 0 --data "$dir/bad" --out "$dir/bad.npy" --json --quiet \
    --attention "$dir/bad-seen.png"
out '"rows":6,"unreadable":2'
run 0 features --model "$model" $machine --data "$dir/good" --attention "$dir/good-seen.png"
same "$dir/bad-seen.png" "$dir/good-seen.png"
run 1 features --model "$model" $machine --data "$dir/bad" --out "$dir/x.npy" --strict
err 'bad/a/0.png'
[ ! -e "$dir/x.npy" ] || wrong 'x.npy was written'
mkdir "$dir/none"
echo 'not an image' >"$dir/none/a.png"
run 1 features --model "$model" $machine --data "$dir/none" --out "$dir/x.npy" --quiet
err 'none of the 1 images could be read: .*none/a.png'
end

case_ 'knn leaves unreadable images out'
run 0 knn --model "$model" $machine --data "$dir/bad" --val "$dir/good" --k 1
named
out '^memory     6 images'
out '^unreadable 2'
run 1 knn --model "$model" $machine --data "$dir/bad" --val "$dir/good" --k 1 --strict
run 2 knn --model "$model" $machine --data "$dir/bad" --val "$dir/good" --k 7
end

case_ 'a fine-tuning that met unreadable validation images ends'
tune="finetune --init $model ${quick% --quiet} --batch 2 --epochs 2 --data $dir/good"
run 0 $tune --val "$dir/bad" --out "$dir/met"
named
[ "$(grep -c '^warning: skipped: .*bad/a/0.png' "$dir/err")" -eq 1 ] || wrong 'a/0.png is not named once'
out '^unreadable  2 of the validation images'
grep -q '"val_unreadable": 2' "$dir/met/summary.json" || wrong 'summary.json does not count'
cp -r "$dir/good" "$dir/readable"
run 0 $tune --val "$dir/readable" --out "$dir/not"
same "$dir/met/best.safetensors" "$dir/not/best.safetensors"
run 1 $tune --val "$dir/bad" --out "$dir/strict" --strict
end

case_ 'evaluation counts what it could read'
run 0 eval --model "$dir/met/last.safetensors" $machine --val "$dir/bad" --corruptions fog --json
[ "$(grep -c 'bad/a/0.png' "$dir/err")" -eq 1 ] || wrong 'a/0.png is not named once'
out '"images":6,"unreadable":2'
run 0 eval --model "$dir/met/last.safetensors" $machine --val "$dir/bad" --batch 1 --quiet
out '^images  6'
out '^without 2'
run 1 eval --model "$dir/met/last.safetensors" $machine --val "$dir/bad" --strict
end

case_ 'a probe of features that are kept'
probe="probe --init none --model vit_tiny --image-size 8 --patch 4 --embed-dim 8 --depth 1 --heads 1 $quick
--batch 2 --epochs 2 --cache-features --augment none"
cp -r "$dir/bad" "$dir/bad2"
run 0 $probe --data "$dir/bad" --val "$dir/bad2" --out "$dir/probe" --json
out '"unreadable":2'
out '"val_unreadable":2'
run 1 $probe --data "$dir/bad" --val "$dir/good" --out "$dir/probe-strict" --strict
end

finish
