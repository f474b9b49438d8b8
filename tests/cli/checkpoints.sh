#!/bin/sh
# The checkpoint of a run folder as a user meets it: damage, folders of older versions, saving with
# and without a thread, kills. Same language and result line as run.sh.
. "${0%/*}/language.inc"

tiny="$(tiny_model 32 8 16 1 2) --threads 1 --workers 1 --batch 16 --warmup-epochs 1 --save-every 1"
data=synthetic:64x32x32

# pretrain STATUS RUN ARGS...
pretrain() {
    want_status=$1 run_dir=$2
    shift 2
    # shellcheck disable=SC2086 # a list of words
    run "$want_status" pretrain --data $data --out "$run_dir" $tiny --epochs 4 "$@"
}

last_files='last.safetensors last.state.safetensors checkpoint-4.safetensors'

# same_run A B: the same files, and manifests that differ in the time it took at most.
same_run() {
    for f in $last_files; do same "$1/$f" "$2/$f"; done
    for run; do sed 's/"seconds": [^,]*//' "$run/last.manifest.json" >"$run.manifest"; done
    same "$1.manifest" "$2.manifest"
}

case_ 'with a thread and without, the same bytes'
pretrain 0 "$dir/run"
pretrain 0 "$dir/plain" --async-save=false
same_run "$dir/run" "$dir/plain"
same "$dir/run/last.safetensors" "$dir/run/checkpoint-4.safetensors"
grep -q '"async_save": true' "$dir/run/config.json" || wrong 'config.json lacks async_save'
[ "$(find "$dir/run/last.safetensors" -links 2)" ] || wrong 'checkpoint-4 is not a link'
end

case_ 'the option in the help'
run 0 pretrain --help
out '--async-save .*while training goes on \[true\]'
end

case_ 'the plan counts the copy'
# shellcheck disable=SC2086
run 0 plan pretrain --data $data $tiny --json
json bytes_snapshot
with=$(sed 's/.*"bytes_total":\([0-9]*\).*/\1/' "$dir/out")
copy=$(sed 's/.*"bytes_snapshot":\([0-9]*\).*/\1/' "$dir/out")
# shellcheck disable=SC2086
run 0 plan pretrain --data $data $tiny --json --no-async-save
without=$(sed 's/.*"bytes_total":\([0-9]*\).*/\1/' "$dir/out")
[ "$copy" -gt 0 ] && [ $((with - without)) -eq "$copy" ] || wrong "$with - $without is not $copy"
end

case_ 'a damaged file of a checkpoint'
cp -r "$dir/run" "$dir/damaged"
cp "$dir/run/checkpoint-3.safetensors" "$dir/damaged/last.safetensors"
pretrain 1 "$dir/damaged"
err 'damaged/last.safetensors: damaged or exchanged'
err 'CRC-32'
err '--init'
pretrain 0 "$dir/damaged" --restart
same "$dir/run/last.safetensors" "$dir/damaged/last.safetensors"
rm "$dir/damaged/last.state.safetensors"
pretrain 1 "$dir/damaged"
err 'last.state.safetensors: missing'
end

case_ 'a run folder without a manifest'
pretrain 0 "$dir/old" --steps 6
rm "$dir/old/last.manifest.json"
pretrain 0 "$dir/old" --steps 0
err 'resum'
same_run "$dir/run" "$dir/old"
end

case_ 'what an interrupted save left is removed'
echo rubbish >"$dir/old/next.safetensors"
echo rubbish >"$dir/old/next.state.safetensors.tmp"
pretrain 0 "$dir/old"
[ ! -e "$dir/old/next.safetensors" ] || wrong 'next.safetensors is there'
[ ! -e "$dir/old/next.state.safetensors.tmp" ] || wrong 'next.state.safetensors.tmp is there'
end

case_ 'kills, on files and at random moments'
EPOCHS=6 sh "${0%/*}/../../tools/kill_loop.sh" 5 "$mae" >"$dir/out" 2>"$dir/err"
got=$? last='tools/kill_loop.sh'
[ $got -eq 0 ] || wrong "$last: exit status $got: $(head -n 1 "$dir/err")"
out '^5 kills in .* nothing lost'
end

finish
