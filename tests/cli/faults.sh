#!/bin/sh
# The command on a machine that fails: full disks, files that vanish or cannot be read, clocks that
# jump. The library to preload (tests/faults/faults.c) is $FAULTS_SO. Usage and output as in run.sh.
[ -w /dev/shm ] && TMPDIR=/dev/shm && export TMPDIR # waiting for a disk is most of the time else
. "${0%/*}/language.inc"

if [ ! -f "${FAULTS_SO:-}" ]; then
    skip 'a machine that fails' 'FAULTS_SO does not name the library to preload'
    finish || exit 0
fi

tiny="$(tiny_model 8 4 8 1 1) --threads 1 --workers 1"
data=synthetic:8x8x8
short='--batch 4 --epochs 4 --warmup-epochs 1 --save-every 2 --log-every 1'

# faulty STATUS RULES ARGS...: as run, under rules of which every one must strike.
faulty() {
    want=$1 rules=$2
    shift 2
    rm -f "$dir/struck"
    ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" FAULTS=$rules \
        FAULTS_LOG=$dir/struck LD_PRELOAD=$FAULTS_SO "$mae" "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    last="[$rules] mae $1"
    [ $got -eq "$want" ] || wrong "$last: exit status $got, not $want: $(tail -n 1 "$dir/err")"
    asked=$(echo "$rules" | tr ';' '\n' | wc -l)
    [ "$(sort -u "$dir/struck" 2>/dev/null | wc -l)" -eq "$asked" ] ||
        wrong "$last: the fault never struck"
}

# One line that begins with "mae: ", and it says this.
message() {
    [ "$(grep -c '^mae: ' "$dir/err")" -eq 1 ] || wrong "$last: not one message: $(cat "$dir/err")"
    grep '^mae: ' "$dir/err" | grep -q -e "$1" || wrong "$last: the message lacks: $1"
}

no_leftovers() {
    left=$(find "$1" -name '*.tmp')
    [ -z "$left" ] || wrong "$last: left behind: $left"
}

pretrain() {
    want=$1 rules=$2 folder=$3
    shift 3
    # shellcheck disable=SC2086 # lists of words
    faulty "$want" "$rules" pretrain --data $data --out "$folder" $tiny $short "$@"
}

# shellcheck disable=SC2086 # lists of words
case_ 'undisturbed runs'
run 0 pretrain --data $data --out "$dir/one" $tiny $short
run 0 pretrain --data $data --out "$dir/half" $tiny $short --steps 5
supervised="--data $data --val $data --init $dir/one/last.safetensors --threads 1 --workers 1
    --batch 4 --epochs 2 --warmup-epochs 0 --save-every 1 --ema 0.9"
run 0 finetune $supervised --out "$dir/tuned"
end

# resume FOLDER [ARGS...]: with everything in order again, to the bytes of the undisturbed run.
resume() {
    folder=$1
    shift
    run 0 pretrain --data $data --out "$folder" $tiny $short --steps 0 "$@"
    for f in last.safetensors last.state.safetensors checkpoint-2.safetensors \
        checkpoint-4.safetensors reconstructions/4.png; do
        same "$dir/one/$f" "$folder/$f"
    done
    [ "$(log_of "$dir/one")" = "$(log_of "$folder")" ] || wrong "$last: another log"
    file "$folder/config.json" "$folder/summary.json" "$folder/curves.svg"
    no_leftovers "$folder"
}

log_of() { sed 's/"images_per_s":[^,}]*//' "$1/log.jsonl"; }

# --- the disk --------------------------------------------------------------------------------------

# Each of the files of a run cannot be written from its 100th byte on: in a new run, and in one that
# is resumed, whose weights stay what they were until the next ones are complete.
case_ 'no space for a file of a run'
for part in log.jsonl config.json summary.json next.safetensors next.state.safetensors \
    next.manifest.json reconstructions/4.png curves.svg; do
    rm -rf "$dir/x"
    pretrain 1 "write */x/$part* 100 ENOSPC" "$dir/x" --quiet
    message "${part##*/}.*: No space left on device"
    resume "$dir/x"
    rm -rf "$dir/x"
    cp -r "$dir/half" "$dir/x"
    pretrain 1 "write */x/$part* 100 ENOSPC" "$dir/x" --quiet --steps 0
    message "${part##*/}.*: No space left on device"
    run 0 info "$dir/x/last.safetensors"
    resume "$dir/x"
done
end

# The first, second, ... flush or rename of the run fails: whatever was complete stays.
case_ 'every flush and every rename'
for call in fsync rename open; do
    n=0
    while :; do
        rm -rf "$dir/x"
        cp -r "$dir/half" "$dir/x"
        ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" \
            FAULTS="$call */x/* $n EIO" LD_PRELOAD=$FAULTS_SO "$mae" pretrain --data $data \
            --out "$dir/x" $tiny $short --steps 0 --quiet >"$dir/out" 2>"$dir/err"
        got=$? last="$call $n"
        [ $got -ne 0 ] || break
        message 'Input/output error'
        run 0 info "$dir/x/last.safetensors"
        resume "$dir/x"
        n=$((n + ${FAULTS_STRIDE:-3}))
    done
    [ $n -gt 3 ] || wrong "$call: only $n calls"
done
end

case_ 'no space for what a classifier keeps'
for part in best.safetensors next.manifest.json; do
    rm -rf "$dir/y"
    # shellcheck disable=SC2086 # a list of words
    faulty 1 "write */y/$part* 100 ENOSPC" finetune $supervised --out "$dir/y" --quiet
    message "$part.*: No space left on device"
    # shellcheck disable=SC2086
    run 0 finetune $supervised --out "$dir/y"
    for g in last.safetensors best.safetensors checkpoint-1.safetensors; do
        same "$dir/tuned/$g" "$dir/y/$g"
    done
    [ "$(log_of "$dir/tuned")" = "$(log_of "$dir/y")" ] || wrong "$last: another log"
    no_leftovers "$dir/y"
done
end

model=$dir/one/last.safetensors
photo=$dir/one/reconstructions/4.png

# Nothing new is left behind, and what was there before stays as it was.
case_ 'no space for features'
for part in f.npy f.txt; do
    rm -f "$dir/f.npy" "$dir/f.txt"
    faulty 1 "write */$part* 20 ENOSPC" features --model "$model" --data $data --out "$dir/f.npy" \
        --quiet
    message "$part.*: No space left on device"
    [ ! -e "$dir/f.npy" ] && [ ! -e "$dir/f.txt" ] || wrong "$last: half of a result"
    no_leftovers "$dir"
done
end

case_ 'no space for a converted model or a picture'
for how in 'official m.pth' 'timm t.safetensors' 'hf folder/model.safetensors' \
    'hf folder/config.json' 'onnx m.onnx'; do
    target=${how#* } to=${how% *}
    made=$dir/${target%/*}
    rm -rf "$dir/folder"
    faulty 1 "write */$target* 100 ENOSPC" convert "$model" "$made" --to "$to" --quiet
    message "${target##*/}.*: No space left on device"
    [ ! -e "$dir/$target" ] || wrong "$last: $target is there"
    run 0 convert "$model" "$made" --to "$to"
    cp "$dir/$target" "$dir/before"
    faulty 1 "write */$target* 100 ENOSPC" convert "$model" "$made" --to "$to" --quiet
    same "$dir/before" "$dir/$target"
    no_leftovers "$dir"
done
faulty 1 'write */r.png* 100 ENOSPC' reconstruct --model "$model" --out "$dir/r.png" "$photo"
message 'r.png.*: No space left on device'
[ ! -e "$dir/r.png" ] || wrong "$last: r.png is there"
end

# --- checkpoints that cannot be read ---------------------------------------------------------------

# unreadable FILE WORDS ARGS...: the first, second, ... read fails, also of what comes before the
# tensors, which the messages call WORDS; then one stops in the middle of a tensor.
unreadable() {
    container=$1 words=$2
    shift 2
    rm -f "$dir/messages"
    for n in 0 1 2 3 4 5 6 7 8 9 11 14 18 23 28; do
        cannot_read "read */${container##*/} $n EIO" "$@"
    done
    grep -q "cannot read $words" "$dir/messages" || wrong "$container: no message about $words"
    : >"$dir/err"
    bytes=100
    until [ -n "$problem" ] || grep -q "tensor '" "$dir/err"; do
        cannot_read "data */${container##*/} $bytes EIO" "$@"
        bytes=$((bytes + bytes / 4))
    done
}

cannot_read() {
    rules=$1
    shift
    faulty 1 "$rules" convert "$container" "$dir/out.pth" --to official "$@"
    message "${container##*/}: cannot read .*: Input/output error"
    cat "$dir/err" >>"$dir/messages"
    [ ! -e "$dir/out.pth" ] || wrong "$last: half of a result"
}

case_ 'a checkpoint that cannot be read'
run 0 convert "$model" "$dir/zip.pth" --to official
legacy=${0%/*}/../golden/data/checkpoint/checkpoint-3_legacy.pth
unreadable "$model" 'the header'
unreadable "$dir/zip.pth" 'the directory of the archive'
unreadable "$legacy" 'the pickle' --heads 2 --decoder-heads 4
for n in 0 4; do
    rm -rf "$dir/x"
    cp -r "$dir/half" "$dir/x"
    pretrain 1 "read */x/last.state.safetensors $n EIO" "$dir/x" --quiet --steps 0
    message 'last.state.safetensors: cannot read.*Input/output error'
    resume "$dir/x"
done
end

# --- the data --------------------------------------------------------------------------------------

mkdir -p "$dir/set/a" "$dir/set/b"
for i in 1 2 3 4; do
    cp "$photo" "$dir/set/a/$i.png"
    cp "$photo" "$dir/set/b/$i.png"
done
find "$dir/set" -name '*.png' | sort >"$dir/set.txt"
(cd "$dir/set" && tar cf ../set.tar a/1.png a/2.png a/3.png a/4.png b/1.png b/2.png b/3.png b/4.png)
mkdir "$dir/cifar"
# Records of zeros: label 0 and a black image.
head -c $((3073 * 8)) /dev/zero >"$dir/cifar/test_batch.bin"

# train_on STATUS RULES SRC ARGS...: every image is read again in every epoch.
train_on() {
    want=$1 rules=$2 source=$3
    shift 3
    rm -rf "$dir/x"
    # shellcheck disable=SC2086 # lists of words
    faulty "$want" "$rules" pretrain --data "$source" --out "$dir/x" $tiny $short --cache-mb 0 \
        --json "$@"
}

# Named once, counted, and as many updates as ever.
one_left_out() {
    [ "$(grep -c "^warning: skipped, .*$1" "$dir/err")" -eq 1 ] ||
        wrong "$last: $1 is not named once: $(cat "$dir/err")"
    out '"unreadable":1,'
    out '"steps":8,'
}

# The pictures take five fetches, the loader may be sixteen ahead: later ones fail while training.
case_ 'an image that vanishes or cannot be read while training'
for source in "folder:$dir/set" "list:$dir/set.txt"; do
    train_on 0 'open */set/b/2.png 2 ENOENT' "$source"
    one_left_out 'b/2.png.*No such file'
    train_on 1 'open */set/b/2.png 2 ENOENT' "$source" --strict
    message 'b/2.png.*No such file'
    train_on 0 'read */set/b/2.png 4 EIO' "$source"
    one_left_out 'b/2.png.*Input/output error'
    train_on 1 'read */set/b/2.png 4 EIO' "$source" --strict
    message 'b/2.png.*Input/output error'
    train_on 1 'open */set/*.png 24 ENOENT' "$source"
    message 'none of the 8 images could be read.*No such file'
    train_on 1 'read */set/*.png 48 EIO' "$source"
    message 'none of the 8 images could be read.*Input/output error'
done
end

case_ 'archives that vanish or cannot be read while training'
for fault in 'open */set.tar 24 ENOENT' 'read */set.tar 30 EIO'; do
    train_on 1 "$fault" "tar:$dir/set.tar"
    message 'none of the 8 images could be read.*set.tar'
    [ "$(grep -c '^warning: skipped, ' "$dir/err")" -eq 8 ] || wrong "$last: not 8 images named"
    train_on 1 "$fault" "tar:$dir/set.tar" --strict
    message 'set.tar'
done
train_on 1 'read */test_batch.bin 26 EIO' "cifar10:$dir/cifar:test"
message 'none of the 8 images could be read.*test_batch.bin.*Input/output error'
train_on 1 'read */test_batch.bin 26 EIO' "cifar10:$dir/cifar:test" --strict
message 'test_batch.bin.*Input/output error'
end

# --- the clocks ------------------------------------------------------------------------------------

# Rates and times that are no numbers, or negative.
sane() {
    ! grep -q -e 'images_per_s":\(-\|null\)' "$dir/x/log.jsonl" || wrong "$last: a rate in the log"
    ! grep -q -i -e 'nan' -e 'inf ' -e ' -[0-9]' "$dir/err" || wrong "$last: $(cat "$dir/err")"
    ! grep -q -e '"seconds":-' -e 'null' "$dir/out" || wrong "$last: $(cat "$dir/out")"
}

case_ 'clocks that jump'
for jump in '0 -7200' '10 -7200' '10 7200' '20 -100000' '25 100000'; do
    rm -rf "$dir/x"
    pretrain 0 "clock monotonic $jump" "$dir/x" --json
    sane
    same "$dir/one/last.safetensors" "$dir/x/last.safetensors"
done
end

# Whatever the time of day does: nobody asks.
case_ 'the time of day is not read'
rm -rf "$dir/x"
pretrain 0 'clock realtime 0 7200' "$dir/x"
[ "$problem" = "$last: the fault never struck" ] && problem='' || wrong "$last: it was read"
end

finish
