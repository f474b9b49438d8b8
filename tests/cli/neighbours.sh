#!/bin/sh
# The images nearest to given ones as a user would look for them. Usage: sh neighbours.sh PATH-OF-MAE
# (or MAE in the environment).
. "${0%/*}/language.inc"

run 0 pretrain --quiet --data synthetic:64x32x32 --out "$dir/mae" --image-size 32 --patch 8 \
    --embed-dim 32 --depth 2 --heads 2 --decoder-embed-dim 16 --decoder-depth 1 --decoder-heads 2 \
    --batch 16 --epochs 1 --warmup-epochs 0 --threads 2 --workers 1
model=$dir/mae/last.safetensors
find="neighbours --model $model --threads 2"

# Images of classes a and b: rows of a picture of attention, each of another size.
mkdir -p "$dir/set/a" "$dir/set/b"
for n in 1 2 3 4 5 6; do
    class=a
    [ $n -gt 3 ] && class=b
    run 0 features --quiet --model "$model" --data synthetic:$n"x32x$((30 + n))" --limit first:$n \
        --attention "$dir/set/$class/$n.png"
done

# Width and height in a PNG's header.
png() {
    got_size=$(od -A n -j 16 -N 8 -t u1 "$1" | awk '{ print $3 * 256 + $4 "x" $7 * 256 + $8 }')
    [ "$got_size" = "$2" ] || wrong "$1: $got_size, not $2"
}

# Lines "NAME COSINE" of the nearest to NAME in a table of features, by brute force.
brute() {
    tr -d '"' <"$1" | awk -F, -v me="$2" 'NR > 1 {
            for (i = 2; i <= NF; i++) { x[NR, i] = $i; length2[NR] += $i * $i }
            name[NR] = $1; if ($1 == me) q = NR; n = NF }
        END { for (r = 2; r <= NR; r++) if (r != q) {
            dot = 0; for (i = 2; i <= n; i++) dot += x[r, i] * x[q, i]
            printf "%.4f %s\n", dot / sqrt(length2[r] * length2[q]), name[r] } }' | sort -r
}

case_ 'the nearest are those of the features'
run 0 features --quiet --model "$model" --data "$dir/set" --out "$dir/f.csv"
for n in 1 4; do
    image=$(ls "$dir"/set/*/$n.png)
    run 0 $find --data "$dir/set" --quiet --k 4 "$image"
    out "^$image  ($(basename "$(dirname "$image")"))$"
    out "^  same file  $image$"
    sed -n 's/^ *\(0\.[0-9]*\|1\.0000\)  \([^ ]*\)  \([ab]\)$/\1 \2/p' "$dir/out" >"$dir/a"
    brute "$dir/f.csv" "$image" | head -n 4 >"$dir/b"
    same "$dir/a" "$dir/b"
done
end

case_ 'results as JSON, the same for any number of threads'
run 0 $find --data "$dir/set" --quiet --k 2 --json "$dir/set/a/1.png" "$dir/set/b"
json images k memory queries unreadable
out '"queries":4'
out '"memory":6'
grep -o '"same_file":\[[^]]*\]' "$dir/out" | grep -c 'png"\]' | grep -q '^4$' || wrong 'not 4 the same'
cp "$dir/out" "$dir/a"
run 0 $find --data "$dir/set" --quiet --k 2 --json "$dir/set/a/1.png" "$dir/set/b" --threads 1 --workers 0
same "$dir/out" "$dir/a"
end

case_ 'another copy is a neighbour, a link is the same file'
cp "$dir/set/a/2.png" "$dir/copy.png"
ln "$dir/set/a/2.png" "$dir/link.png"
run 0 $find --data "$dir/set" --quiet --k 1 "$dir/copy.png" "$dir/link.png"
out '^ *1\.0000  .*/a/2.png  a$'
[ "$(grep -c 'same file' "$dir/out")" -eq 1 ] || wrong "$last: not one same file"
end

case_ 'pictures that cannot be read are named, the others go on'
echo no picture >"$dir/bad.png"
run 1 $find --data "$dir/set" --quiet --k 1 "$dir/bad.png" "$dir/set/a/1.png" "$dir/none.jpg"
out '/a/1.png'
err 'error: .*bad.png: '
err 'error: .*none.jpg: '
[ "$(wc -l <"$dir/err")" -eq 2 ] || wrong "$last: $(cat "$dir/err")"
run 1 $find --data "$dir/set" --quiet --k 1 "$dir/bad.png"
err 'none of the images given could be read'
no_out
run 1 $find --data "$dir/none" "$dir/set/a/1.png"
err 'none: there is no such file or folder'
end

case_ 'a list on standard input'
(cd "$dir" && printf 'set/a/1.png\n\nset/b/5.png\n' | "$mae" $find --data set --quiet --k 1 - >out 2>err) ||
    wrong "a list: $(cat "$dir/err")"
out '^set/a/1.png  (a)$'
out '^set/b/5.png  (b)$'
run 1 $find --data "$dir/set" --quiet - </dev/null
err 'standard input: the list names no image'
end

case_ 'fewer images than neighbours'
run 0 $find --data "$dir/set" --k 100 --json "$dir/set/a/1.png"
err 'has only 6 images'
[ "$(grep -o cosine "$dir/out" | wc -l)" -eq 5 ] || wrong "$last: not 5 neighbours"
end

case_ 'a picture'
run 0 $find --data "$dir/set" --k 3 --out "$dir/p.png" "$dir/set/a/1.png" "$dir/set/b"
out "picture $dir/p.png"
png "$dir/p.png" 740x1048
run 0 $find --data synthetic:9x32x32 --k 3 --out "$dir/p.png" "$dir/set/a/1.png" --quiet
usage 'does not end in .jpg; give it .png' $find --data "$dir/set" --out "$dir/p.jpg" "$dir/set/a/1.png"
end

case_ 'wrong calls'
usage 'IMAGE is needed' $find --data "$dir/set"
usage '--data SRC is needed' $find "$dir/set/a/1.png"
usage '--model CKPT is needed' neighbours --data "$dir/set" "$dir/set/a/1.png"
run 0 neighbours --help
out 'standard input, one a line'
end

finish
