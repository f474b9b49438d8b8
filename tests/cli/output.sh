#!/bin/sh
# output.sh PATH-OF-MAE: what a path of a result may be, and what happens to what is there. Devices are
# nodes that this script makes in its own folder; where it may not, they are skipped and counted.
. "$(dirname "$0")/language.inc"

model="$dir/run/last.safetensors" picture="$dir/run/reconstructions/1.png"
small="--quiet --threads 1 --workers 1"
train="$small --data synthetic:8x8x8 --batch 4 --warmup-epochs 0"
features="features $small --model $model --data synthetic:3x8x8"
run 0 pretrain $train $(tiny_model 8 4 8 1 2) --epochs 1 --out "$dir/run"
[ -n "$problem" ] && echo "$problem" && exit 1
run 0 $features --out "$dir/f.npy"
run 0 reconstruct --quiet --model "$model" --out "$dir/r.png" "$picture"
run 0 convert "$model" "$dir/c.safetensors" --to official --threads 1

# into FILE STATUS ARGS...: as run, with standard output in FILE.
into() {
    to=$1 want=$2
    shift 2
    "$mae" "$@" >"$to" 2>"$dir/err"
    got=$?
    last="mae $*"
    [ $got -eq "$want" ] || wrong "$last: exit status $got, not $want: $(tail -n 1 "$dir/err")"
}

case_ 'a pipe is written into'
mkfifo "$dir/pipe.npy"
timeout 20 cat "$dir/pipe.npy" >"$dir/copy" &
run 0 features --threads 1 --workers 1 --model "$model" --data synthetic:3x8x8 --out "$dir/pipe.npy"
wait $!
err 'names of the rows are left out'
same "$dir/f.npy" "$dir/copy"
[ -p "$dir/pipe.npy" ] || wrong 'the pipe is gone'
[ ! -e "$dir/pipe.txt" ] || wrong 'names beside a pipe'
run 2 convert "$model" "$dir/pipe.npy" --to official
err 'does not end in .npy'
mkfifo "$dir/pipe"
timeout 20 cat "$dir/pipe" >"$dir/copy2" &
run 0 convert "$model" "$dir/pipe" --to official --threads 1
out 'not read back'
wait $!
same "$dir/c.safetensors" "$dir/copy2"
run 2 convert "$model" "$dir/pipe" --to official --verify "$picture"
err 'reads the new file'
end

case_ '- is standard output'
into "$dir/copy" 0 $features --out -
same "$dir/f.npy" "$dir/copy"
into "$dir/copy" 0 $features --out /dev/stdout
same "$dir/f.npy" "$dir/copy"
run 0 $features --out "$dir/f.csv"
into "$dir/copy" 0 $features --out - --format csv
same "$dir/f.csv" "$dir/copy"
into "$dir/copy" 0 reconstruct --model "$model" --out - "$picture"
same "$dir/r.png" "$dir/copy"
err '^picture  -: 1 row'
into "$dir/copy" 0 convert "$model" - --to official --threads 1
same "$dir/c.safetensors" "$dir/copy"
err 'not read back'
[ ! -e ./- ] || wrong 'a file called -'
usage 'and --json both go to standard output' $features --out - --json
usage 'and --json both go to standard output' convert "$model" - --to official --json
usage 'is no folder' convert "$model" - --to hf
usage 'both -' $features --out - --attention -
end

case_ 'a link is followed, also to what is not there yet'
echo old >"$dir/real.npy"
mkdir "$dir/sub"
ln -s ../real.npy "$dir/sub/a.npy"
ln -s sub/a.npy "$dir/link.npy"
ln -s sub/new.npy "$dir/dangling.npy"
run 0 $features --out "$dir/link.npy"
same "$dir/f.npy" "$dir/real.npy"
run 0 $features --out "$dir/dangling.npy"
same "$dir/f.npy" "$dir/sub/new.npy"
[ -L "$dir/link.npy" ] && [ -L "$dir/sub/a.npy" ] && [ -L "$dir/dangling.npy" ] || wrong 'a link is gone'
ln -s sub "$dir/folder"
ln -s loop.npy "$dir/loop.npy"
run 1 $features --out "$dir/folder"
err 'is a folder'
run 1 $features --out "$dir/loop.npy"
err 'loop'
run 1 $features --out "$dir/sub"
err 'is a folder'
end

if mknod "$dir/null" c 1 3 2>/dev/null && (: >"$dir/null") 2>/dev/null && mknod "$dir/full" c 1 7 &&
    mknod "$dir/block" b 7 250; then
    case_ 'devices are written into or refused, never replaced'
    run 0 $features --out "$dir/null"
    run 0 reconstruct --quiet --model "$model" --out "$dir/null" "$picture"
    run 0 convert "$model" "$dir/null" --to onnx --threads 1
    [ -c "$dir/null" ] || wrong 'the device is gone'
    [ ! -e "$dir/null.txt" ] || wrong 'names beside a device'
    run 1 $features --out "$dir/full"
    err 'full: cannot write: No space left'
    for command in "$features" "reconstruct --quiet --model $model $picture"; do
        run 1 $command --out "$dir/block"
        err 'block: is a block device, which is never written to'
    done
    run 1 convert "$model" "$dir/block" --to official
    err 'is a block device'
    [ -b "$dir/block" ] && [ -c "$dir/full" ] || wrong 'a device is gone'
    end
else
    skip 'devices are written into or refused, never replaced' 'no device nodes can be made here'
fi

case_ 'an ending of another kind of file is a slip, others are mostly fine'
usage 'does not end in .png; give it .npy' $features --out "$dir/x.png"
usage 'does not end in .NPY; give it .png' $features --attention "$dir/x.NPY"
usage 'does not end in .jpg; give it .png' reconstruct --model "$model" --out "$dir/x.jpg" "$picture"
usage 'does not end in .pth; give it .onnx' convert "$model" "$dir/x.pth" --to onnx
usage 'does not end in .npy' convert "$model" "$dir/x.npy" --to timm
usage 'leave the ending out' convert "$model" "$dir/x.safetensors" --to hf
usage 'does not end in .png; give it .csv' eval --model "$model" --val synthetic:4 --confusion "$dir/x.png"
usage 'x.features.v2: a table of features ends in .npy or .csv' $features --out "$dir/x.features.v2"
usage 'x.csv is no npy, as --format says' $features --out "$dir/x.csv" --format npy
run 0 reconstruct --quiet --model "$model" --out "$dir/X.PNG" "$picture"
file "$dir/X.PNG"
end

case_ 'a run takes an empty folder or a run of its own'
mkdir "$dir/photos" "$dir/empty"
echo mine >"$dir/photos/photo.jpg"
for restart in '' --restart; do
    usage 'photos: is not empty and holds no run (it has photo.jpg)' pretrain $train --out "$dir/photos" $restart
    usage 'run: holds a run of mae pretrain, which mae probe does not' probe $train --val synthetic:8x8x8 \
        --init "$model" --out "$dir/run" $restart
done
[ "$(cat "$dir/photos/photo.jpg")" = mine ] || wrong 'a photo is gone'
file "$model"
usage 'is no folder' pretrain $train --out "$dir/f.npy"
usage 'is no folder' pretrain $train --out "$dir/pipe"
usage 'is no folder' pretrain $train --out -
: >"$dir/empty/.hidden"
into "$dir/empty/log.txt" 0 pretrain $train $(tiny_model 8 4 8 1 2) --epochs 1 --restart --out "$dir/empty"
same "$model" "$dir/empty/last.safetensors"
run 0 probe $train --val synthetic:8x8x8 --init "$model" --out "$dir/probe" --epochs 1
usage 'holds a run of mae probe' finetune $train --val synthetic:8x8x8 --init "$model" --out "$dir/probe"
into "$dir/copy" 0 eval $small --model "$dir/probe/last.safetensors" --val synthetic:8x8x8 --confusion -
[ "$(wc -l <"$dir/copy")" -eq 11 ] || wrong 'the confusion on standard output has not a line a class'
end

case_ 'a folder for Hugging Face does not lose what is no model of theirs'
usage 'would lose them' convert "$model" "$dir/run" --to hf
run 0 convert "$model" "$dir/photos" --to hf --threads 1
run 0 convert "$model" "$dir/photos" --to hf --threads 1
usage 'holds no run' pretrain $train --out "$dir/photos"
file "$dir/photos/config.json" "$dir/photos/photo.jpg"
end

finish output
