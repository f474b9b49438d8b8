#!/bin/sh
# Runs that are resumed with other options or data, complete runs, new ones in their place, and what
# is said at the end. Usage: sh resume.sh PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

tiny="$(tiny_model 16 8 16 1 2) --threads 1 --workers 1 --warmup-epochs 1 --log-every 2"
pre="pretrain $tiny --batch 8"
data='--data synthetic:32x16x16'

# What a folder holds, and when it was written.
contents() { (cd "$1" && find . -type f -exec stat -c '%n %s %y' {} + | sort); }
untouched() { [ "$before" = "$(contents "$1")" ] || wrong "$last: $1 was touched"; }
# has FILE TEXT, lacks FILE TEXT
has() { grep -q -e "$2" "$1" || wrong "$last: $1 lacks $2"; }
lacks() { ! grep -q -e "$2" "$1" || wrong "$last: $1 has $2"; }
# figure FILE KEY: a number of a JSON file, or of the last line that has it.
figure() { sed -n "s/.*\"$2\": *\([-0-9.e]*\).*/\1/p" "$1" | tail -n 1; }

# --- complete runs -------------------------------------------------------------------------------

run 0 $pre $data --epochs 2 --out "$dir/run"
before=$(contents "$dir/run")

case_ 'a complete run says so and is left alone'
run 0 $pre $data --epochs 2 --out "$dir/run"
err 'complete: 8 updates, 2 epochs, .*last.safetensors'
err '--epochs N --accept-changes'
out '^updates *8$'
untouched "$dir/run"
run 0 pretrain --out "$dir/run" --json --quiet --threads 2
json steps epochs images loss loss_over seconds images_per_s checkpoint picture
no_err
untouched "$dir/run"
run 0 pretrain --out "$dir/run" --weight-decay 0.1 --accept-changes
err 'were not used'
untouched "$dir/run"
end

case_ 'changes are listed, all of them, and refused'
usage 'epochs 2 -> 4 (.*learning rate' $pre $data --epochs 4 --lr 0.01 --mask-ratio 0.5 --seed 7 --out "$dir/run"
err '--lr not set -> 0.01'
err '--mask-ratio 0.75 -> 0.5'
err '--seed 0 -> 7'
err '--accept-changes'
untouched "$dir/run"
usage '--depth 1 -> 2 (the model of a run cannot change' $pre $data --epochs 4 --depth 2 --out "$dir/run" --accept-changes
lacks "$dir/err" '--accept-changes'
untouched "$dir/run"
usage '--init not set -> ' $pre $data --init "$dir/run/last.safetensors" --out "$dir/run" --accept-changes
untouched "$dir/run"
end

case_ 'accepted changes: said, logged, drawn, recorded'
run 0 $pre --data synthetic:40x16x16 --epochs 4 --weight-decay 0.1 --accept-changes --out "$dir/run" --log-every 1
err 'warning: from here on --epochs 4, before 2'
err 'warning: from here on images of --data 40, before 32'
err '^from here on --log-every 1, before 2'
err 'the learning rate of the next update is'
has "$dir/run/log.jsonl" '"kind":"event","step":8,"epoch":2.0,.*"what":"--weight-decay","before":"0.05","now":"0.1"'
has "$dir/run/curves.svg" 'class="change"'
has "$dir/run/curves.svg" 'epochs 2 -&gt; 4'
has "$dir/run/config.json" '"epochs": 4,'
out '^updates *18$'
err '^train 18/18 '
lacks "$dir/run/config.json" 'accept'
end

case_ 'a source that grew is seen without another name'
mkdir "$dir/photos"
for i in 1 2 3 4 5 6 7 8; do cp "$dir/run/reconstructions/2.png" "$dir/photos/$i.png"; done
run 0 $pre --data "$dir/photos" --batch 4 --epochs 2 --steps 2 --out "$dir/grown"
for i in a b c d; do cp "$dir/run/reconstructions/2.png" "$dir/photos/$i.png"; done
usage 'images of --data 8 -> 12' $pre --data "$dir/photos" --batch 4 --epochs 2 --steps 0 --out "$dir/grown"
run 0 $pre --data "$dir/./photos/" --batch 4 --epochs 2 --steps 0 --out "$dir/grown" --accept-changes
out '^updates *5$'
end

case_ 'the same updates cut otherwise, and a run that is told to end sooner'
run 0 $pre $data --epochs 3 --out "$dir/cut" --steps 5
run 0 $pre $data --epochs 3 --out "$dir/cut" --steps 7 --batch 4 --accumulate 2
run 0 $pre $data --epochs 3 --out "$dir/cut" --steps 6 --batch 8 --accumulate 1
err 'complete: 7 updates'
err 'say --steps 0'
end

# --- a new run in the place of an old one ----------------------------------------------------------

case_ '--restart removes pictures of the old run, nothing else, and not before the new one can begin'
echo mine >"$dir/run/reconstructions/mine.png"
echo mine >"$dir/run/notes.txt"
before=$(contents "$dir/run")
run 1 $pre --data "$dir/nothing" --epochs 1 --out "$dir/run" --restart
untouched "$dir/run"
run 0 $pre $data --epochs 1 --out "$dir/run" --restart
file "$dir/run/reconstructions/1.png" "$dir/run/reconstructions/mine.png" "$dir/run/notes.txt"
[ ! -e "$dir/run/reconstructions/4.png" ] && [ ! -e "$dir/run/checkpoint-4.safetensors" ] ||
    wrong "$last: pictures or weights of the old run are there"
[ "$(grep -c '"kind":"epoch"' "$dir/run/log.jsonl")" -eq 1 ] || wrong "$last: the old log"
end

# --- one loss, totals of the whole run ----------------------------------------------------------------

case_ 'one loss for one moment'
run 0 $pre $data --epochs 2 --out "$dir/loss"
out ', mean over the last epoch, 4 updates$'
loss=$(figure "$dir/loss/summary.json" loss)
logged=$(sed -n 's/.*"kind":"epoch".*"loss":\([0-9.]*\).*/\1/p' "$dir/loss/log.jsonl" | tail -n 1)
awk "BEGIN { exit !($loss - $logged < 1e-7 && $logged - $loss < 1e-7) }" || wrong "$loss is not $logged"
short=$(printf %.4f "$logged")
out "^loss *$short,"
err "^train 8/8 .*mean loss $short "
has "$dir/loss/curves.svg" "mean of an epoch $(printf %.3f "$logged" | cut -c1-4)"
run 0 $pre $data --epochs 2 --steps 6 --out "$dir/part"
out ', mean over 2 updates of epoch 2$'
end

case_ 'totals of a resumed run are of the whole run'
first=$(figure "$dir/part/summary.json" seconds)
run 0 $pre $data --epochs 2 --steps 0 --out "$dir/part"
out ' 64 images in '
[ "$(figure "$dir/part/summary.json" images)" -eq 64 ] || wrong "$last: not 64 images"
[ "$(figure "$dir/part/summary.json" loss)" = "$loss" ] || wrong "$last: another loss"
all=$(figure "$dir/part/summary.json" seconds)
awk "BEGIN { exit !($all > $first) }" || wrong "$last: $all seconds, $first before"
same "$dir/loss/last.state.safetensors" "$dir/part/last.state.safetensors"
end

case_ 'a state of before there were totals'
cp -r "$dir/part" "$dir/old"
rm "$dir/old/last.manifest.json" "$dir/old/summary.json"
sed -i 's/"mean_count"/"mean_xxxxx"/' "$dir/old/last.state.safetensors"
run 0 $pre $data --epochs 2 --out "$dir/old"
out '^updates *8$'
end

# --- figures that mean nothing, options without effect, nothing to do --------------------------------

case_ 'no top-5 of five classes, no rate of cached features'
for c in a b c; do
    mkdir -p "$dir/three/$c"
    for i in 1 2 3 4; do cp "$dir/loss/reconstructions/2.png" "$dir/three/$c/$i.png"; done
done
sed 's/a/a/' "$dir/photos/1.png" >"$dir/three/a/5.png"
run 0 probe --data "$dir/three" --val-share 0.3 --init "$dir/loss/last.safetensors" --out "$dir/probe" \
    --batch 4 --epochs 2 --warmup-epochs 0 --augment none --cache-features --threads 1 --workers 1
! grep -q 'top-5' "$dir/out" || wrong "$last: a top-5"
! grep -q -e 'images/s' "$dir/out" || wrong "$last: a rate"
has "$dir/probe/log.jsonl" '"images_per_s":null'
has "$dir/probe/log.jsonl" '"top5":null'
has "$dir/probe/summary.json" '"top5": null'
has "$dir/probe/summary.json" '"images_per_s": null'
run 0 eval --model "$dir/probe/best.safetensors" --val "$dir/three" --accept-overlap \
    --threads 1 --workers 1 --json
out '"top5":null'
end

case_ 'options without effect are told and not recorded'
run 0 $pre $data --epochs 1 --pca-components 9 --lr 1e-3 --base-lr 1e-3 --out "$dir/unused"
err 'warning: --pca-components has no effect here: it is for --target pca'
err 'warning: --base-lr has no effect here'
has "$dir/unused/config.json" '"pca_components": null'
has "$dir/unused/config.json" '"base_lr": null'
run 0 $pre --config "$dir/unused/config.json" --out "$dir/unused2"
same "$dir/unused/last.safetensors" "$dir/unused2/last.safetensors"
run 0 reconstruct --model "$dir/loss/last.safetensors" --keep 0 --mask-ratio 0.5 --out "$dir/r.png" "$dir/photos/1.png"
err 'warning: --mask-ratio has no effect here'
end

case_ 'bf16: trains, resumes to the same bytes, changes with a mark, not on the cpu'
bf16="$pre $data --epochs 2 --device ref --precision bf16"
run 1 $pre $data --epochs 2 --precision bf16 --out "$dir/bf16"
err 'bf16 on the cpu is not there yet; use fp32, or --device ref'
run 1 $bf16 --target pca --out "$dir/bf16"
err 'target pca with --precision bf16 is not there yet'
[ ! -e "$dir/bf16" ] || wrong "$last: left a folder"
run 0 $bf16 --out "$dir/bf16"
run 0 $bf16 --steps 3 --out "$dir/bf16cut"
usage '--precision bf16 -> fp32' $pre $data --epochs 2 --steps 0 --device ref --precision fp32 --out "$dir/bf16cut"
run 0 $bf16 --steps 0 --out "$dir/bf16cut"
same "$dir/bf16/last.safetensors" "$dir/bf16cut/last.safetensors"
same "$dir/bf16/last.state.safetensors" "$dir/bf16cut/last.state.safetensors"
run 0 $pre $data --epochs 4 --device ref --precision fp32 --out "$dir/bf16" --accept-changes
err 'warning: from here on --precision fp32, before bf16'
run 0 finetune --init "$dir/bf16cut/last.safetensors" $data --val synthetic:16x16x16 --batch 8 \
    --epochs 1 --threads 1 --workers 1 --device ref --precision bf16 --out "$dir/bf16tuned"
run 0 eval --model "$dir/bf16tuned/last.safetensors" --val synthetic:16x16x16 --threads 1 --json
out '"loss": *[0-9]'
run 0 probe --init "$dir/bf16cut/last.safetensors" $data --val synthetic:16x16x16 --batch 8 \
    --epochs 1 --threads 1 --workers 1 --device ref --precision bf16 --out "$dir/bf16probe"
end

case_ '0 updates is an error with advice'
run 1 $pre --data synthetic:4x16x16 --epochs 1 --out "$dir/none"
err 'use a smaller --batch'
[ ! -e "$dir/none" ] || wrong "$last: left a folder"
run 1 plan $pre --data synthetic:4x16x16 --epochs 1
err 'use a smaller --batch'
end

finish resume
