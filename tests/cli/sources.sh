#!/bin/sh
# Images as people have them: odd names, tars, lists, files that are no images. What is left out is said,
# and names come back. Usage: sh sources.sh PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

tiny=$(tiny_model 16 8 16 1 2)
quick='--batch 8 --epochs 1 --warmup-epochs 0 --threads 1 --workers 1'
run 0 pretrain --quiet --data synthetic:16x16x16 --out "$dir/mae" $tiny $quick
model=$dir/mae/last.safetensors
picture=$(ls "$dir"/mae/reconstructions/*.png | head -n 1)

# 1 x 1 pixels, 16-bit grey, of value 0x1234.
sixteen() {
    printf '\211PNG\015\012\032\012\000\000\000\015IHDR\000\000\000\001\000\000\000\001\020\000\000\000'
    printf '\000\152\356\107\026\000\000\000\013IDAT\170\234\143\020\062\001\000\000\133\000\107\226\373'
    printf '\033\145\000\000\000\000IEND\256\102\140\202'
}

# features ROWS SOURCE: so many rows, and as many names.
features() {
    run 0 features --model "$model" --threads 1 --workers 1 --data "$2" --out "$dir/f.npy"
    out "f.npy: $1 rows"
    [ "$(wc -l <"$dir/f.txt")" -eq "$1" ] || wrong "$last: $(wc -l <"$dir/f.txt") names, not $1"
}

# --- folders -------------------------------------------------------------------------------------

case_ "a folder says what it leaves out, once"
mkdir -p "$dir/set/a" "$dir/set/b/@eaDir"
for f in a/1.png a/2.jfif b/1.png b/@eaDir/1.png; do cp "$picture" "$dir/set/$f"; done
echo x >"$dir/set/a/3.tif"
echo x >"$dir/set/a/4.HEIC"
features 3 "$dir/set"
err '^warning: .*/set: left out: 1 .heic (4.HEIC), 1 .tif (3.tif); readable are'
[ "$(grep -c 'left out' "$dir/err")" -eq 1 ] || wrong "$last: said more than once"
run 0 features --quiet --model "$model" --threads 1 --data "$dir/set" --out "$dir/f.npy"
no_err
end

case_ "a run among its data does not see its own pictures"
run 0 pretrain --data "$dir/set" --out "$dir/set/run" $tiny --batch 3 --epochs 1 --warmup-epochs 0 --threads 1 --workers 1
file "$dir"/set/run/reconstructions/*.png
features 3 "$dir/set"
err 'left out: pictures of 1 training run (.*/set/run)'
run 1 features --model "$model" --threads 1 --data "$dir/set/run" --out "$dir/f.npy"
err 'pictures of training runs are no data'
end

case_ "train and val under one folder get a hint"
mkdir -p "$dir/parts/train/a" "$dir/parts/val/a"
cp "$picture" "$dir/parts/train/a/1.png"
cp "$picture" "$dir/parts/val/a/1.png"
features 2 "$dir/parts"
err '^warning: .*/parts: its sub-folders train and val are taken as the classes of one set'
end

# --- tars ----------------------------------------------------------------------------------------

case_ "tars: dots in names, linked files, two joined by cat"
mkdir "$dir/t"
cp "$picture" "$dir/t/IMG_2023.05.01.png"
ln "$dir/t/IMG_2023.05.01.png" "$dir/t/IMG_2023.05.02.png"
ln -s IMG_2023.05.02.png "$dir/t/IMG_2023.05.03.png"
echo 1 >"$dir/t/IMG_2023.05.01.json"
tar -C "$dir/t" -cf "$dir/t1.tar" .
tar -C "$dir/t" -cf "$dir/t2.tar" IMG_2023.05.01.png
cat "$dir/t1.tar" "$dir/t2.tar" >"$dir/t12.tar"
features 3 "$dir/t1.tar"
err '/t1.tar: left out: 1 .json'
features 4 "tar:$dir/t12.tar"
gzip -c "$dir/t1.tar" >"$dir/t1.tar.gz"
run 1 features --model "$model" --threads 1 --data "$dir/t1.tar.gz" --out "$dir/f.npy"
err 'compressed with gzip.*uncompress it first'
end

# --- names ---------------------------------------------------------------------------------------

case_ "a name with a newline, and one that is not UTF-8, come back"
mkdir "$dir/odd"
new_line="$dir/odd/b
c.png"
latin=$dir/odd/caf$(printf '\351').png
cp "$picture" "$dir/odd/a.png"
cp "$picture" "$new_line"
if cp "$picture" "$latin" 2>/dev/null; then
    features 3 "$dir/odd"
    grep -q '^\\.*/odd/b\\nc.png$' "$dir/f.txt" || wrong "no escaped newline in the names"
    grep -q '^\\.*/odd/caf\\xE9.png$' "$dir/f.txt" || wrong "no escaped byte in the names"
    cp "$dir/f.txt" "$dir/names.txt"
    features 3 "list:$dir/names.txt"
    same "$dir/f.txt" "$dir/names.txt"
    end
else
    skip "$name" "the file system takes UTF-8 only"
fi

case_ "class names that are not UTF-8 stay two classes in a model and its results"
one=$dir/names/r$(printf '\350') two=$dir/names/r$(printf '\351')
if mkdir -p "$one" "$two" 2>/dev/null; then
    for f in 1 2; do cp "$picture" "$one/$f.png" && cp "$picture" "$two/$f.png"; done
    cp -r "$dir/names" "$dir/names2"
    run 0 finetune --quiet --data "$dir/names" --val "$dir/names2" --init "$model" $quick --batch 2 --out "$dir/ft"
    run 0 eval --model "$dir/ft/best.safetensors" --val "$dir/names2" --threads 1 --json
    json classes
    grep -q '"class":"\\\\r\\\\xE8","images":2' "$dir/out" || wrong "$last: $(cat "$dir/out")"
    grep -q '"class":"\\\\r\\\\xE9","images":2' "$dir/out" || wrong "$last: $(cat "$dir/out")"
    sixteen >"$latin"
    run 0 classify --model "$dir/ft/best.safetensors" --threads 1 --json "$latin" "$latin"
    json images
    grep -q '"image":"\\\\.*/odd/caf\\\\xE9.png"' "$dir/out" || wrong "$last: $(cat "$dir/out")"
    err '^warning: images given: .*16-bit grey .*: 2 ('
    end
else
    skip "$name" "the file system takes UTF-8 only"
fi

# --- lists ---------------------------------------------------------------------------------------

case_ "lists: byte order mark, header, commas, UTF-16"
printf '\357\273\277path\tlabel\r\nset/a/1.png\t0\r\nset/b/1.png\t1\r\n' >"$dir/list.txt"
features 2 "$dir/list.txt"
err '/list.txt: line 1 (path, label) is taken as a header'
printf 'set/a/1.png,0\nset/b/1.png,1\n' >"$dir/list.txt"
run 1 features --model "$model" --threads 1 --data "$dir/list.txt" --out "$dir/f.npy"
err "line 1 (set/a/1.png,0) has ',' between its columns"
printf '\377\376s\000e\000t\000' >"$dir/list.txt"
run 1 features --model "$model" --threads 1 --data "$dir/list.txt" --out "$dir/f.npy"
err 'UTF-16'
end

# --- what is no image, and what is lost of one -----------------------------------------------------

case_ "files of other kinds are named"
mkdir "$dir/kinds"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:1\n' >"$dir/kinds/a.jpg"
run 1 reconstruct --model "$model" --threads 1 --out "$dir/r.png" "$dir/kinds/a.jpg"
err 'a.jpg: not an image .* (Git LFS) .*git lfs pull'
printf '<!DOCTYPE html><html>' >"$dir/kinds/a.jpg"
run 1 reconstruct --model "$model" --threads 1 --out "$dir/r.png" "$dir/kinds/a.jpg"
err 'a.jpg: not an image .* but an HTML page'
mkdir "$dir/py"
for f in data_batch_1 test_batch batches.meta; do echo x >"$dir/py/$f"; done
run 1 features --model "$model" --threads 1 --data "$dir/py" --out "$dir/f.npy"
err 'the Python version of CIFAR-10 .*cifar-10-binary.tar.gz'
end

case_ "16-bit images are counted in one line"
mkdir "$dir/deep"
for i in 1 2 3; do sixteen >"$dir/deep/$i.png"; done
features 3 "$dir/deep"
err '^warning: .*/deep: .* 16-bit grey with values above 255, which became 255: 3 (.*/deep/1.png, ...)'
[ "$(grep -c '16-bit' "$dir/err")" -eq 1 ] || wrong "$last: said more than once"
run 0 pretrain --data "$dir/deep" --out "$dir/deeprun" $tiny --batch 3 --epochs 2 --warmup-epochs 0 --threads 1 --workers 1
[ "$(grep -c '16-bit' "$dir/err")" -eq 1 ] || wrong "$last: not said once"
run 0 reconstruct --model "$model" --threads 1 --out "$dir/r.png" "$dir/deep/1.png" "$dir/deep/2.png"
err '^warning: images given: .*16-bit grey .*: 2 (.*/deep/1.png, ...)'
end

finish sources
