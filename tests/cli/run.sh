#!/bin/sh
# Runs the command as a user would. Usage: sh run.sh PATH-OF-MAE (or MAE in the environment). Prints
# a line per case and ends with `cli: N passed, M failed, K skipped`; exit status 1 when one failed.
. "${0%/*}/language.inc"

tiny="$(tiny_model 32 8 32 2 2) --threads 2 --workers 1"
data=synthetic:64x32x32
short='--batch 16 --warmup-epochs 1 --save-every 2'

# pretrain STATUS RUN ARGS...
pretrain() {
    want_status=$1 run_dir=$2
    shift 2
    run "$want_status" pretrain --data $data --out "$run_dir" $tiny $short "$@"
}

# --- help and usage ----------------------------------------------------------------------------

case_ 'without arguments'
run 2
err 'usage: mae COMMAND'
no_out
end

case_ 'help and version'
run 0 --help
out 'pretrain'
no_err
run 0 --version
out '^mae [0-9][0-9.]*$'
out '^compiler .* [0-9]'
out '^mpi '
out '^codecs .*jpeg.*png.*webp'
run 0 --version --json
json version compiler openmp mpi codecs libraries
run 2 --version --jso
err '--jso: after --version'
run 2 --version --json knn
err 'knn: after --version'
run 0 help plan finetune
out '--tune-blocks'
run 0 help knn
out '--temperature'
mv "$dir/out" "$dir/help"
run 0 knn --help
same "$dir/out" "$dir/help"
end

case_ 'help of every command'
for c in pretrain finetune probe eval classify reconstruct knn features neighbours info plan bench; do
    run 0 $c --help
    out "^usage: mae $c "
    out '--json'
    no_err
    awk 'length > 100 { exit 1 }' "$dir/out" || wrong "$last: a line is longer than 100"
done
run 0 pretrain --help
out '--mask-ratio X .*\[0.75\]'
out '--epochs N .*\[800\]'
out '--target WORD .*\[norm-pix\]'
run 0 pretrain --epochs nonsense --help
end

case_ 'unknown commands and options'
usage 'there is no command xyzzy$' xyzzy
usage 'there is no command pretain; did you mean pretrain?' pretain
usage 'did you mean finetune?' help finetun
usage 'did you mean --mask-ratio' pretrain --mask-ration 0.5
err 'mae pretrain --help'
usage 'did you mean --epochs' pretrain --epoch=3
usage 'there is no option --xyzzy' knn --xyzzy
usage 'there is no option --no-xyzzy' knn --no-xyzzy
usage 'options are written --name' pretrain -e 3
usage 'the checkpoint says it' reconstruct --embed-dim 64
end

case_ 'bad values'
usage '--epochs 3x: not a whole number' pretrain --epochs 3x
usage '--epochs 0: must be 1 to' pretrain --epochs 0
usage '--mask-ratio 2: must be 0 to 1' pretrain --mask-ratio=2
usage '--base-lr nan: not a number' pretrain --base-lr nan
usage 'choose one of random, block, grid' pretrain --mask no
usage '--image-size' pretrain --image-size 32x
usage '--data needs a value' pretrain --data
usage '--data needs a value' pretrain --data --out x
usage '--strict maybe: must be true or false' pretrain --strict=maybe
usage 'only a switch' pretrain --no-epochs
end

case_ 'missing arguments'
usage '--out RUN is needed' pretrain --data $data
usage '--data SRC' pretrain --out "$dir/none"
usage '--model CKPT is needed' knn --data $data --val $data
usage '--model CKPT is needed' reconstruct --out x.png x.jpg
usage 'IMAGE is needed; write: mae reconstruct' reconstruct --out x.png --model x
usage '--out FILE.npy or --out FILE.csv is needed' features --model x --data $data
usage 'FILE is needed' info
usage 'write: mae plan pretrain' plan
usage 'WHAT is needed; write: mae bench step|kernels|data' bench
usage 'what speed: choose one of step, kernels, data' bench speed
usage '--task knn: choose one of pretrain, finetune, features' bench step --task knn
usage '--data SRC is needed' bench data
usage 'photo.jpg: one word too many; write: mae pretrain --data SRC' pretrain photo.jpg --out x
end

# --- configuration files -----------------------------------------------------------------------

case_ 'configuration files'
echo '{"epochs": 3, "mask_ratio": 0.5, "data": "synthetic:64x32x32"}' >"$dir/c.json"
run 0 plan pretrain --config "$dir/c.json" $tiny --batch 16 --json
json total_steps kept_patches
out '"total_steps":12,'
out '"kept_patches":8,'
run 0 plan pretrain --epochs 2 --config "$dir/c.json" $tiny --batch=16 --json
out '"total_steps":8,'
echo '{"epoch": 3}' >"$dir/c.json"
usage 'c.json: unknown key "epoch"; did you mean "epochs"' plan pretrain --config "$dir/c.json"
echo '{"epochs": "many"}' >"$dir/c.json"
usage 'c.json: "epochs" must be a whole number' plan pretrain --config "$dir/c.json"
echo '{' >"$dir/c.json"
usage 'c.json' plan pretrain --config "$dir/c.json"
run 1 plan pretrain --config "$dir/not-there.json"
err 'not-there.json'
end

# --- plan and bench ----------------------------------------------------------------------------

case_ 'plan'
run 0 plan pretrain --data $data $tiny --batch 16 --accumulate 2 --epochs 10
no_err
out '^schedule .*20 updates of 32 images, 2 an epoch'
out '^peak lr *1.875e-05'
run 0 plan pretrain --data $data $tiny --batch 16 --json
json model data parameters encoder_parameters images patches kept_patches effective_batch \
    steps_per_epoch total_steps lr gflop_per_image bytes_total peak_gflops seconds resumes
run 2 plan pretrain --data $data --image-size 30
err 'multiple of patch'
run 1 plan pretrain --data "folder:$dir/no-such-folder"
err 'no-such-folder'
end

# on_screen COLUMNS ARGS...: as run 0, on a terminal; $dir/out is what it shows, a line an update of it.
on_screen() {
    columns=$1
    shift
    last="mae $* on $columns columns"
    COLUMNS=$columns script -qefc "$mae $*" /dev/null </dev/null >"$dir/screen" 2>&1 || wrong "$last: failed"
    tr '\r' '\n' <"$dir/screen" | sed "s/$(printf '\033')\[K//" >"$dir/out"
    # What it says once is not cut.
    awk -v n="$columns" 'length > n' "$dir/out" |
        grep -v -e '^loss ' -e '^speed ' -e '^checkpoint ' -e '^picture ' -e '^usage' >"$dir/long" &&
        wrong "$last: too long: $(head -n 1 "$dir/long")"
}

if command -v script >/dev/null 2>&1; then
    case_ 'narrow screens'
    for columns in 40 80; do
        on_screen $columns plan pretrain --data $data $tiny --batch 16
        out '^memory  *[0-9.]* MB: parameters'
        on_screen $columns pretrain --data $data $tiny $short --epochs 2 --out "$dir/screen-$columns"
        out '^\(\[#* *\] \)\{0,1\}train .*loss [0-9.]*  [0-9.]*s left'
        on_screen $columns pretrain --help
        out '^  --mask-ratio X'
    done
    end
else
    skip 'narrow screens' 'no script'
fi

case_ 'bench'
run 0 bench step $tiny --batch 8 --repetitions 2 --json
json model batch threads device precision steps images_per_s_median images_per_s_best \
    gflop_per_image gflops peak_gflops fraction_of_peak bytes_planned bytes_rss
out '"task":"pretrain"'
for task in pretrain finetune features; do
    run 0 bench step $tiny --task $task --batch 8 --repetitions 2
    out '^images/s '
    out "^run  *$task, 2 steps of 8 images"
    run 0 bench kernels $tiny --task $task --batch 8 --repetitions 2
    out '^linear forward '
    out '^step '
    run 0 bench kernels $tiny --task $task --batch 8 --repetitions 2 --json
    json task model fraction_of_peak step_ms kernels shapes
    out '"kind":"attention","pass":"forward"'
    grep -q '"pass":"backward"' "$dir/out" && trains=yes || trains=no
    [ $trains = yes ] || [ $task = features ] || wrong "$last: no backward pass"
    [ $trains = no ] || [ $task != features ] || wrong "$last: a backward pass"
done
run 2 bench step $tiny --task finetune --batch 7 --repetitions 1
err 'needs an even batch'
run 0 bench data --data $data $tiny --batch 8 --repetitions 2 --json
json images_per_s_median images_per_s_best images workers
end

# --- training ----------------------------------------------------------------------------------

case_ 'pretrain'
pretrain 0 "$dir/run" --epochs 4
err '^model .*custom patch 8'
err '^train 16/16'
out '^updates *16'
file "$dir/run/last.safetensors" "$dir/run/last.state.safetensors" "$dir/run/config.json" \
    "$dir/run/log.jsonl" "$dir/run/summary.json" "$dir/run/checkpoint-4.safetensors" \
    "$dir/run/reconstructions/4.png"
grep -q '"mask_ratio": 0.75,' "$dir/run/config.json" || wrong 'config.json lacks mask_ratio'
end

case_ 'pretrain --json --quiet'
pretrain 0 "$dir/quiet" --epochs 1 --json --quiet
json steps epochs images unreadable loss seconds images_per_s checkpoint picture
no_err
end

case_ 'a resumed run is the same run'
pretrain 0 "$dir/parts" --epochs 4 --steps 6
pretrain 0 "$dir/parts" --epochs 4 --steps 0
err 'resum'
same "$dir/run/last.safetensors" "$dir/parts/last.safetensors"
end

case_ 'a finished run and another model'
run 0 pretrain --out "$dir/run"
out '^updates *16'
run 2 pretrain --out "$dir/run" --depth 3
err '--restart'
pretrain 0 "$dir/run2" --epochs 1
pretrain 0 "$dir/run2" --epochs 1 --depth 1 --restart
pretrain 0 "$dir/run3" --epochs 1 --restart
end

case_ 'a run from the configuration of another'
run 0 pretrain --config "$dir/run/config.json" --out "$dir/again"
same "$dir/run/last.safetensors" "$dir/again/last.safetensors"
end

case_ 'SIGTERM saves, the same command continues'
long="--data $data --out $dir/stop $tiny $short --epochs 100000 --log-every 1"
env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT "$mae" pretrain $long >"$dir/stop.out" 2>"$dir/stop.err" &
pid=$! waited=0
until [ -s "$dir/stop/log.jsonl" ] || [ $waited -ge 50 ]; do
    sleep 0.2
    waited=$((waited + 1))
done
run 1 pretrain $long
err 'another process is training'
tr '\0' '\n' </proc/$pid/environ | grep -qx 'GOMP_SPINCOUNT=2000' ||
    wrong "$last: threads wait as long as their library likes"
kill -TERM $pid
wait $pid
got=$? last='pretrain after SIGTERM'
mv "$dir/stop.out" "$dir/out"
mv "$dir/stop.err" "$dir/err"
[ $got -eq 75 ] || wrong "$last: exit status $got, not 75"
err 'continues'
no_out
file "$dir/stop/last.safetensors"
run 0 pretrain $long --steps 1
err 'resum'
end

case_ 'other batches go on with a run'
other="--data synthetic:25x32x32 --out $dir/other $tiny --threads 1 --workers 1 --log-every 1"
run 0 pretrain $other --batch 5 --epochs 4 --steps 4
run 2 pretrain $other --batch 5 --accumulate 1 --image-size 16
run 2 pretrain $other --batch 20 --epochs 4 --steps 0 --json
err 'images of an update 5 -> 20'
run 0 pretrain $other --batch 20 --epochs 4 --steps 0 --json --accept-changes
out '"epochs":4,'
grep -q '"step":8,' "$dir/other/log.jsonl" || wrong "$last: not 8 updates"
end

case_ 'data that are not there'
run 1 pretrain --data "$dir/nothing" --out "$dir/x" $tiny
err "$dir/nothing"
mkdir "$dir/empty"
run 1 pretrain --data "folder:$dir/empty" --out "$dir/x" $tiny
run 2 pretrain --data synthetic:many --out "$dir/x" $tiny
end

# --- what a checkpoint is good for ---------------------------------------------------------------

model=$dir/run/last.safetensors
photo=$dir/run/reconstructions/4.png

case_ 'info'
run 0 info "$model"
out '^model *custom'
out 'patch_embed.proj.weight'
run 0 info "$model" --json
json file format dialect model tensors metadata
run 1 info "$dir/run/log.jsonl"
err 'log.jsonl'
run 1 info "$dir/no-such-file"
err 'no-such-file'
end

case_ 'reconstruct'
run 0 reconstruct --model "$model" --out "$dir/r.png" "$photo" "$photo"
out '2 rows'
file "$dir/r.png"
run 0 reconstruct --model "$model" --out "$dir/s.png" --seed 1 --mask block --paste \
    --stats interpolated --json -- "$photo"
json picture images loss target patch_statistics
run 0 reconstruct --model "$model" --out "$dir/k.png" --keep 0,5,10 "$photo"
run 2 reconstruct --model "$model" --out "$dir/k.png" --keep 0,16 "$photo"
err 'patches 0 to 15'
run 1 reconstruct --model "$model" --out "$dir/k.png" "$dir/run/config.json"
err 'config.json'
mkdir "$dir/mixed"
cp "$photo" "$dir/mixed/a.png"
echo no photo >"$dir/mixed/b.png"
cp "$dir/r.png" "$dir/mixed/c.png"
run 1 reconstruct --model "$model" --out "$dir/left.png" "$dir/mixed" "$dir/none.png" --keep 0,5,10
err 'error: .*/b.png: '
err 'error: .*none.png: cannot open'
out '2 rows'
run 0 reconstruct --model "$model" --out "$dir/two.png" --keep 0,5,10 "$photo" "$dir/mixed/c.png"
same "$dir/left.png" "$dir/two.png"
run 1 reconstruct --model "$photo" --out "$dir/k.png" "$photo"
run 1 reconstruct --model "$model" --out "$dir/no/such/folder/k.png" "$photo"
end

case_ 'a damaged checkpoint'
head -c 5000 "$model" >"$dir/cut.safetensors"
run 1 info "$dir/cut.safetensors"
err 'cut.safetensors'
run 1 reconstruct --model "$dir/cut.safetensors" --out "$dir/k.png" "$photo"
err 'cut.safetensors'
end

case_ 'features'
run 0 features --model "$model" --data $data --out "$dir/f.npy" --limit 10
out '10 rows of 32 values'
[ "$(wc -l <"$dir/f.txt")" -eq 10 ] || wrong 'f.txt has not 10 lines'
run 0 features --model "$model" --data $data --out "$dir/g.npy" --pool cls --json --quiet
json features rows columns
no_err
end

case_ 'knn'
run 0 knn --model "$model" --data $data --val $data --k 1
out '^accuracy *100.00 %'
run 0 knn --model "$model" --data $data --val $data --val-limit 20 --json
json accuracy memory queries k classes
out '"queries":20,'
mkdir "$dir/flat"
cp "$photo" "$dir/flat/a.png"
run 1 knn --model "$model" --data "folder:$dir/flat" --val $data
end

# --- reproducibility, variants, bad images --------------------------------------------------------

# Everything of a log but how fast it went.
log_of() { sed 's/"images_per_s":[^,}]*//' "$1/log.jsonl"; }

case_ 'threads and workers change no byte'
pretrain 0 "$dir/one" --epochs 4 --threads 1 --workers 0
for how in '--threads 2 --workers 1' '--threads 1 --workers 2' '--threads 2 --workers 4'; do
    # shellcheck disable=SC2086 # a list of words
    pretrain 0 "$dir/other" --epochs 4 --restart $how
    same "$dir/one/last.safetensors" "$dir/other/last.safetensors"
    same "$dir/one/reconstructions/4.png" "$dir/other/reconstructions/4.png"
    [ "$(log_of "$dir/one")" = "$(log_of "$dir/other")" ] || wrong "$how: another log"
done
end

case_ 'killed at any moment and resumed, the same bytes'
for delay in 0.05 0.1 0.15 0.2 0.3 0.4; do
    rm -rf "$dir/killed"
    "$mae" pretrain --quiet --data $data --out "$dir/killed" $tiny $short --epochs 4 \
        --save-every 1 >/dev/null 2>&1 &
    process=$!
    sleep "$delay"
    kill -9 $process 2>/dev/null
    wait $process 2>/dev/null
    pretrain 0 "$dir/killed" --epochs 4 --save-every 1
    same "$dir/one/last.safetensors" "$dir/killed/last.safetensors"
    [ "$(log_of "$dir/one")" = "$(log_of "$dir/killed")" ] || wrong "$delay: another log"
done
end

case_ 'variants of Table 1'
for variant in '--mask block' '--mask grid' '--target pixel' '--target pca --pca-components 9' \
    '--mask-token-in-encoder' '--decoder-depth 2 --decoder-embed-dim 16' '--augment none' \
    '--augment crop-fixed' '--augment crop-jitter' '--channels 1' '--image-size 32x48' \
    '--accumulate 2 --clip-grad 0.1' '--mask-ratio 0.5' '--device ref'; do
    # shellcheck disable=SC2086 # a list of words
    pretrain 0 "$dir/variant" --epochs 2 --restart $variant
    run 0 reconstruct --model "$dir/variant/last.safetensors" --out "$dir/v.png" "$photo"
done
run 1 pretrain --data $data --out "$dir/token" $tiny --target token
err 'needs a tokenizer'
end

case_ 'reconstructions of chosen patches'
run 0 reconstruct --model "$model" --out "$dir/v.png" --keep 0,5,10 --paste "$photo"
run 0 reconstruct --model "$model" --out "$dir/w.png" --stats interpolated "$photo"
usage 'patch 16; the image has patches 0 to 15' reconstruct --model "$model" --out "$dir/v.png" \
    --keep 16 "$photo"
usage 'there twice' reconstruct --model "$model" --out "$dir/v.png" --keep 1,1 "$photo"
end

case_ 'unreadable images are skipped and counted'
mkdir "$dir/photos"
for i in 1 2 3 4 5 6 7 8 9; do cp "$photo" "$dir/photos/$i.png"; done
head -c 300 "$photo" >"$dir/photos/cut.png"
echo 'not an image' >"$dir/photos/text.jpg"
run 0 pretrain --data "$dir/photos" --out "$dir/skips" $tiny --batch 4 --epochs 2 --warmup-epochs 1 \
    --json
out '"unreadable":2'
err 'cut.png'
err 'text.jpg'
run 1 pretrain --data "$dir/photos" --out "$dir/strict" $tiny --batch 4 --epochs 2 \
    --warmup-epochs 1 --strict
end

case_ 'a learning rate that cannot work'
run 1 pretrain --data $data --out "$dir/nan" $tiny --batch 16 --epochs 200 --warmup-epochs 0 --lr 1000
err 'not finite'
err 'clip-grad'
end

if [ -n "${EXAMPLES:-}" ]; then
    case_ 'the examples'
    "$EXAMPLES/reconstruct" "$model" "$photo" "$dir/example.png" >"$dir/out" 2>"$dir/err" ||
        wrong "reconstruct: $(cat "$dir/err")"
    file "$dir/example.png"
    "$EXAMPLES/features" "$model" >"$dir/out" 2>"$dir/err" || wrong "features: $(cat "$dir/err")"
    [ "$(wc -l <"$dir/out")" -eq 12 ] || wrong 'features: not 12 lines'
    [ "$(head -n 1 "$dir/out" | wc -w)" -eq 32 ] || wrong 'features: not 32 numbers'
    "$EXAMPLES/neighbours" "$model" "$photo" "$dir/r.png" "$photo" >"$dir/out" 2>"$dir/err" ||
        wrong "neighbours: $(cat "$dir/err")"
    head -n 1 "$dir/out" | grep -q "^1\.0000  $photo$" || wrong 'neighbours: not the same image first'
    [ "$(wc -l <"$dir/out")" -eq 2 ] || wrong 'neighbours: not 2 lines'
    "$EXAMPLES/pretrain" "$dir/squares" 5 >"$dir/out" 2>"$dir/err" || wrong "pretrain: $(cat "$dir/err")"
    out 'update 5: loss'
    err 'saved'
    "$EXAMPLES/pretrain" "$dir/squares" 9 >"$dir/out" 2>"$dir/err" || wrong "pretrain: $(cat "$dir/err")"
    out 'update 9: loss'
    [ "$(grep -c '^update [1-5]:' "$dir/out")" -eq 0 ] || wrong 'pretrain: began anew'
    run 2 pretrain --out "$dir/squares"
    err 'memory:squares: these images came from a program'
    end
else
    skip 'the examples' 'EXAMPLES does not name their folder'
fi

# --- where results go --------------------------------------------------------------------------

if [ -w /dev/full ]; then
    case_ 'a full disk'
    for arguments in --help "info $model --json" 'bench --help'; do
        "$mae" $arguments >/dev/full 2>"$dir/err"
        got=$? last="mae $arguments >/dev/full"
        [ $got -eq 1 ] || wrong "$last: exit status $got, not 75"
        err 'standard output cannot be written'
    done
    end
else
    skip 'a full disk' 'there is no /dev/full'
fi

case_ 'a reader that has gone'
{
    sleep 0.3
    "$mae" pretrain --help 2>"$dir/err"
    echo $? >"$dir/status"
} | true
waited=0
until [ -s "$dir/status" ] || [ $waited -ge 50 ]; do
    sleep 0.1
    waited=$((waited + 1))
done
last='mae pretrain --help | true'
[ "$(cat "$dir/status")" = 1 ] || wrong "$last: exit status $(cat "$dir/status"), not 1"
end

finish
