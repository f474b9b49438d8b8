#!/bin/sh
# Features and pictures of attention as a user would have them. Usage: sh features.sh PATH-OF-MAE (or
# MAE in the environment).
. "${0%/*}/language.inc"

size='--image-size 32 --patch 8 --embed-dim 32 --depth 3 --heads 2'
sets='--data synthetic:64x32x32 --val synthetic:30x32x32'
short='--batch 16 --epochs 1 --warmup-epochs 0 --threads 2 --workers 1'
data=synthetic:70x32x32

run 0 pretrain --quiet --data synthetic:64x32x32 --out "$dir/mae" $size --decoder-embed-dim 32 \
    --decoder-depth 1 --decoder-heads 2 $short
for pool in mean cls; do
    run 0 finetune --quiet $sets --init "$dir/mae/last.safetensors" $short --pool $pool \
        --out "$dir/ft-$pool"
    run 0 probe --quiet $sets --init "$dir/mae/last.safetensors" $short --pool $pool \
        --out "$dir/probe-$pool"
done
model=$dir/mae/last.safetensors

# features STATUS NAME ARGS...: into $dir/NAME.npy
features() {
    want_status=$1 name_of=$2
    shift 2
    run "$want_status" features --quiet --threads 2 --model "$model" --data $data \
        --out "$dir/$name_of.npy" "$@"
}

# Values of a .npy after its header, one a line.
values() { tail -c +257 "$1" | od -A n -v -t f4 -w4; }

# The dimensions in the header of a .npy.
shape() {
    head -c 256 "$1" | tr -d '\000' | grep -a -q "'shape': ($2)" || wrong "$1: not of shape $2"
}

# The means of 16 patch tokens of 32 values that follow a cls token are the rows of another file.
same_mean() {
    values "$1" | awk '{ t = int((NR - 1) / 32) % 17; k = (NR - 1) % 32; sum[k] = t ? sum[k] + $1 : 0
                         if (t == 16) print sum[k] / 16 }' >"$dir/a"
    values "$2" | paste - "$dir/a" | awk '{ d = $1 - $2; if (NF != 2 || d > 1e-5 || d < -1e-5) exit 1 }' ||
        wrong "$2 is not the mean of the patches of $1"
}

# The first of 17 tokens of 32 values are the rows of another file.
same_cls() {
    values "$1" | awk 'int((NR - 1) / 32) % 17 == 0' >"$dir/a"
    values "$2" >"$dir/b"
    same "$dir/a" "$dir/b"
}

# Width and height in a PNG's header.
png() {
    got_size=$(od -A n -j 16 -N 8 -t u1 "$1" | awk '{ print $3 * 256 + $4 "x" $7 * 256 + $8 }')
    [ "$got_size" = "$2" ] || wrong "$1: $got_size, not $2"
}

# The picture of so many images: the image, the mean and two heads, 4 pixels apart, in each row.
rows_png() { png "$1" "140x$(($2 * 36 - 4))"; }

# --- pools and blocks --------------------------------------------------------------------------

case_ 'pools'
for block in 0 1 3; do
    for pool in mean cls all; do features 0 $pool --pool $pool --block $block; done
    shape "$dir/mean.npy" '70, 32,'
    shape "$dir/all.npy" '70, 17, 32,'
    same_mean "$dir/all.npy" "$dir/mean.npy"
    same_cls "$dir/all.npy" "$dir/cls.npy"
    [ "$(wc -l <"$dir/all.txt")" -eq 70 ] || wrong 'all.txt has not 70 lines'
    mv "$dir/mean.npy" "$dir/mean-$block.npy"
done
cmp -s "$dir/mean-0.npy" "$dir/mean-3.npy" && wrong 'the last block is normalised'
cmp -s "$dir/mean-1.npy" "$dir/mean-3.npy" && wrong 'two blocks put out the same'
end

case_ 'fewer images give the first rows'
features 0 some --limit first:66
shape "$dir/some.npy" '66, 32,'
values "$dir/mean-0.npy" | head -n $((66 * 32)) >"$dir/a"
values "$dir/some.npy" >"$dir/b"
same "$dir/a" "$dir/b"
end

case_ 'threads and workers change no byte'
features 0 other --threads 1 --workers 0
same "$dir/other.npy" "$dir/mean-0.npy"
end

case_ 'a table of text has the same numbers, and its names'
run 0 features --quiet --threads 2 --model "$model" --data $data --out "$dir/t.csv"
out 't.csv: 70 rows of 32 values'
head -n 1 "$dir/t.csv" | grep -q '^"name","f0","f1",.*,"f31"$' || wrong 'the first row'
tail -n +2 "$dir/t.csv" | cut -d, -f 1 | tr -d '"' >"$dir/a"
same "$dir/a" "$dir/mean.txt"
tail -n +2 "$dir/t.csv" | cut -d, -f 2- | tr , '\n' >"$dir/a"
values "$dir/mean-0.npy" | paste - "$dir/a" | # od prints fewer digits
    awk '{ d = $1 - $2; if (NF != 2 || d * d > 1e-13 * $1 * $1) exit 1 }' || wrong 'other numbers'
run 0 features --quiet --threads 2 --model "$model" --data $data --out "$dir/t.CSV" --pool all \
    --limit first:3 --json
json features rows tokens width pool
grep -q names "$dir/out" && wrong 'a file of names is told of'
head -n 1 "$dir/t.CSV" | grep -q '^"name","token","f0",' || wrong 'the first row of tokens'
[ "$(tail -n +2 "$dir/t.CSV" | cut -d, -f 2 | sort -n | uniq -c | awk '{ print $1, $2 }' | tr '\n' ' ')" = \
    "$(seq 0 16 | sed 's/^/3 /' | tr '\n' ' ')" ] || wrong 'not 17 tokens of 3 images'
[ ! -e "$dir/t.txt" ] || wrong 'a file of names beside a table that has them'
end

case_ 'results as JSON'
features 0 j --json
json features names rows width block pool
out '"rows":70'
out '"width":32'
out '"block":0'
out '"pool":"mean"'
out 'j.txt"'
no_err
features 0 j --json --pool all --block 2
out '"tokens":17'
out '"block":2'
features 0 j --json --attention "$dir/j.png"
json features attention attention_block
out '"attention_block":3'
run 0 features --quiet --model "$model" --data $data --attention "$dir/j.png" --block 2 --json
json rows block attention
out '"rows":16'
out '"block":2'
end

# --- attention ---------------------------------------------------------------------------------

case_ 'a picture of attention'
run 0 features --quiet --model "$model" --data $data --attention "$dir/one.png" --limit 1
out 'block 3'
rows_png "$dir/one.png" 1
run 0 features --quiet --model "$model" --data $data --attention "$dir/a.png" --limit 5
rows_png "$dir/a.png" 5
run 0 features --quiet --model "$model" --data $data --attention "$dir/a.png"
rows_png "$dir/a.png" 16
run 0 features --quiet --model "$model" --data synthetic:3x32x32 --attention "$dir/b.png" --block 1
rows_png "$dir/b.png" 3
run 0 features --quiet --model "$model" --data synthetic:3x32x32 --attention "$dir/c.png"
cmp -s "$dir/b.png" "$dir/c.png" && wrong 'two blocks look the same'
features 0 both --attention "$dir/both.png"
same "$dir/both.npy" "$dir/mean-0.npy"
same "$dir/both.png" "$dir/a.png"
out 'both.npy'
out 'both.png'
run 0 features --quiet --model "$dir/ft-mean/last.safetensors" --data $data --pool cls \
    --attention "$dir/ft.png"
rows_png "$dir/ft.png" 16
end

case_ 'a grey picture of attention'
run 0 pretrain --quiet --data synthetic:64x32x48 --out "$dir/grey" $size --decoder-embed-dim 32 \
    --decoder-depth 1 --decoder-heads 2 $short --channels 1 --image-size 32x48
run 0 features --quiet --model "$dir/grey/last.safetensors" --data synthetic:20x32x48 \
    --attention "$dir/grey.png" --out "$dir/grey.npy" --pool all
png "$dir/grey.png" 204x572
shape "$dir/grey.npy" '20, 25, 32,'
end

# --- classifiers -------------------------------------------------------------------------------

case_ 'classifiers'
for kind in ft probe; do
    for pool in mean cls; do
        model=$dir/$kind-$pool/last.safetensors
        features 0 own --pool $pool
        shape "$dir/own.npy" '70, 32,'
        for block in 1 3; do
            for other in mean cls all; do features 0 $other --pool $other --block $block; done
            same_mean "$dir/all.npy" "$dir/mean.npy"
            same_cls "$dir/all.npy" "$dir/cls.npy"
        done
        rm "$dir/all.npy"
        features 2 all --pool all
        err "trained with --pool $pool"
        [ ! -e "$dir/all.npy" ] || wrong 'a refused call wrote a file'
        run 0 knn --quiet --model "$model" --data $data --val $data --k 1 --pool $pool
        out '^accuracy *100.00 %'
    done
    model=$dir/$kind-mean/last.safetensors
    features 2 x --pool cls
    err 'use --pool mean'
    run 2 knn --quiet --model "$dir/$kind-cls/last.safetensors" --data $data --val $data --pool mean
    err 'use --pool cls'
done
model=$dir/mae/last.safetensors
end

# --- what goes wrong ---------------------------------------------------------------------------

case_ 'wrong calls'
usage '--attention PNG, --out FILE.npy or --out FILE.csv is needed' features --model "$model" --data $data
usage '--model CKPT is needed' features --data $data --out "$dir/x.npy"
usage '--data SRC is needed' features --model "$model" --out "$dir/x.npy"
usage 'choose one of mean, cls, all' features --model "$model" --data $data --pool max
usage '--block -1' features --model "$model" --data $data --out "$dir/x.npy" --block=-1
features 2 x --block 4
err '--block 4: the model has 3 blocks; choose 1 to 3'
run 2 features --model "$model" --data $data --attention "$dir/x.png" --block 4
err '--block 4: the model has 3 blocks'
features 2 x --attention "$dir/x.npy"
err 'are both'
[ ! -e "$dir/x.npy" ] && [ ! -e "$dir/x.txt" ] && [ ! -e "$dir/x.png" ] || wrong 'a file was made'
end

case_ 'files that are not there or not a checkpoint'
run 1 features --model "$dir/none" --data $data --out "$dir/x.npy"
err 'none'
run 1 features --model "$dir/a.png" --data $data --out "$dir/x.npy"
err 'a.png'
run 1 features --model "$model" --data "folder:$dir/none" --out "$dir/x.npy"
err 'none'
run 1 features --model "$model" --data $data --out "$dir/no/x.npy"
err 'no/x.npy'
run 1 features --model "$model" --data $data --out "$dir/x.npy" --attention "$dir/no/x.png"
err 'no/x.png'
mkdir "$dir/photos"
cp "$dir/a.png" "$dir/photos/a.png"
head -c 300 "$dir/a.png" >"$dir/photos/b.png"
run 1 features --model "$model" --data "$dir/photos" --out "$dir/x.npy" --strict
err 'b.png'
[ -z "$(ls "$dir" | grep '^x\.')" ] || wrong "left behind: $(ls "$dir" | grep '^x\.')"
run 0 features --model "$model" --data "$dir/photos" --out "$dir/x.npy" --limit first:1
grep -q 'a.png$' "$dir/x.txt" || wrong 'x.txt does not name a.png'
end

case_ 'a stopped run leaves nothing'
rm -f "$dir"/x.*
"$mae" features --model "$model" --data synthetic:1000000x32x32 --out "$dir/x.npy" --threads 1 \
    >"$dir/out" 2>"$dir/err" &
child=$! waited=0 last='features after SIGTERM'
until [ -n "$(find "$dir" -name 'x.npy*' -size +8k)" ] || [ $waited -ge 100 ]; do
    sleep 0.1
    waited=$((waited + 1))
done
kill -TERM $child
wait $child
got=$?
[ $got -eq 1 ] || wrong "$last: exit status $got, not 1"
err 'stopped \(after [0-9]* of 1000000\|while waiting for\) images'
[ -z "$(ls "$dir" | grep '^x\.')" ] || wrong "left behind: $(ls "$dir" | grep '^x\.')"
end

finish
