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

# --- the same images on both sides -----------------------------------------------------------------

knn="knn --model $model $machine --k 1"
tune="finetune --init $model $quick --batch 2"
both='are also in --data, such as'

case_ 'the same folder on both sides'
usage "6 of the 6 images of --val $both .*good/a/1.png;" $knn --data "$dir/good" --val "$dir/good/"
err 'say --accept-overlap'
usage "6 of the 6 images of --val $both" $tune --data "$dir/good" --val "folder:$dir/../${dir##*/}/good" --out "$dir/x"
usage "6 of the 6 images of --val $both" probe --init "$model" $quick --batch 2 --data "$dir/good" \
    --val "$dir/good" --out "$dir/x"
[ ! -e "$dir/x" ] || wrong 'a run folder was made'
run 0 $knn --data "$dir/good" --val "$dir/good" --accept-overlap
err '6 of the 6 images of --val are also in --data, as accepted'
run 0 $knn --data "$dir/good" --val "$dir/readable"
end

case_ 'the same files by other names'
mkdir -p "$dir/links/a" "$dir/links/b"
ln -s "$dir/good/a/2.png" "$dir/links/a/x.png"
ln "$dir/good/b/3.png" "$dir/links/b/y.png"
cp "$dir/good/b/1.png" "$dir/links/b/z.png"
usage "2 of the 3 images of --val $both .*links/a/x.png (.*good/a/2.png);" $knn --data "$dir/good" --val "$dir/links"
printf '%s/a/1.png\t0\n%s/b/2.png\t1\n' "$dir/readable" "$dir/good" >"$dir/list.txt"
printf 'good/a/3.png\t0\ngood/b/2.png\t1\n' >"$dir/other.txt"
usage "1 of the 2 images of --val $both" $knn --data "$dir/list.txt" --val "$dir/other.txt"
run 0 $knn --data "$dir/list.txt" --val "$dir/other.txt" --val-limit first:1
mkdir "$dir/shard"
for n in 1 2; do
    cp "$dir/good/a/$n.png" "$dir/shard/a$n.png"
    cp "$dir/good/b/$n.png" "$dir/shard/b$n.png"
    echo 0 >"$dir/shard/a$n.cls"
    echo 1 >"$dir/shard/b$n.cls"
    (cd "$dir/shard" && tar cf "$dir/s$n.tar" a$n.png a$n.cls b$n.png b$n.cls)
done
usage "2 of the 2 images of --val $both" $knn --data "$dir/s{1..2}.tar" --val "$dir/s2.tar"
run 0 $knn --data "$dir/s1.tar" --val "$dir/s2.tar"
end

case_ 'the images that a model was trained on'
run 0 $tune --data "$dir/good" --val "$dir/readable" --out "$dir/seen"
usage '2 of the 3 images of --val are also in the images that the model was trained on' eval $machine \
    --model "$dir/seen/best.safetensors" --val "$dir/links"
run 0 eval $machine --model "$dir/seen/best.safetensors" --val "$dir/links" --accept-overlap
run 0 eval $machine --model "$dir/seen/best.safetensors" --val "$dir/readable"
run 0 $tune --data "$dir/readable" --val-share 0.34 --out "$dir/shared"
usage '4 of the 6 images of --val are also in' eval $machine --model "$dir/shared/last.safetensors" \
    --val "$dir/readable"
cp "$dir/seen/best.safetensors" "$dir/alone.safetensors"
run 0 eval $machine --model "$dir/alone.safetensors" --val "$dir/links"
end

# Two records of class N and M in a file of CIFAR-10, black.
records() {
    for class; do
        printf "\\$class"
        head -c 3072 /dev/zero
    done
}

case_ 'a source of two splits'
mkdir "$dir/cifar"
for n in 1 2 3 4 5; do records 0 1 >"$dir/cifar/data_batch_$n.bin"; done
records 0 0 0 >"$dir/cifar/test_batch.bin"
for set in "$dir/cifar" "cifar10:$dir/cifar"; do
    run 0 $knn --data "$set" --val "$set" --json
    out '"memory":10,"queries":3,'
done
usage "3 of the 3 images of --val $both" $knn --data "cifar10:$dir/cifar:test" --val "cifar10:$dir/cifar"
usage "10 of the 10 images of --val $both" $knn --data "$dir/cifar" --val "$dir/cifar:train"
run 0 features --model "$model" $machine --data "$dir/cifar" --out "$dir/cifar.npy"
out '10 rows'
end

case_ 'generated images repeat, which is said'
run 0 $knn --data synthetic:20x8x8 --val synthetic:15x8x8
err '15 generated images of --val are also in --data: synthetic images are for measuring speed'
run 0 $knn --data synthetic:20x8x8 --val synthetic:15x9x9
grep -q generated "$dir/err" && wrong 'images of another size are others'
end

# --- classes ---------------------------------------------------------------------------------------

# Twelve folders 0 to 11.
case_ 'folders named by numbers are in the order of their values'
for n in 0 1 2 3 4 5 6 7 8 9 10 11; do
    mkdir -p "$dir/numbers/$n" "$dir/held/$n"
    cp "$dir/good/a/1.png" "$dir/numbers/$n/x.png"
    cp "$dir/good/a/1.png" "$dir/held/$n/x.png"
done
run 0 finetune --init "$model" $quick --data "$dir/numbers" --val "$dir/held" --out "$dir/twelve"
run 0 info "$dir/twelve/last.safetensors" --json
out '"0[^a-z]*1[^a-z]*2[^a-z]*3[^a-z]*4[^a-z]*5[^a-z]*6[^a-z]*7[^a-z]*8[^a-z]*9[^a-z]*10[^a-z]*11'
end

case_ 'classes without an image'
rm -r "$dir/held/5"
run 0 eval --model "$dir/twelve/last.safetensors" $machine --val "$dir/held"
err "warning: --val has no image of 1 of the model's 12 classes (5)"
run 0 finetune --init "$model" ${quick% --quiet} --data "$dir/numbers" --val "$dir/held" --val-limit first:7 --out "$dir/few"
err "warning: --val has no image of 5 of the model's 12 classes (5, 6, 7, ...)"
end

# --- help ------------------------------------------------------------------------------------------

case_ 'help names sources, splits, corruptions and exit statuses'
run 0 finetune --help
out 'cifar10:DIR, cifar100:DIR'
out 'stopped and saved: the same command goes on'
out 'list:FILE'
run 0 eval --help
for word in gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur snow frost fog \
    brightness contrast elastic_transform pixelate jpeg_compression; do
    out "$word"
done
run 0 info --help
grep -q 'Sources' "$dir/out" && wrong 'info takes no source'
end

finish
