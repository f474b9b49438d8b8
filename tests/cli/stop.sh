#!/bin/sh
# Signals to commands that would run long: they are answered at once, and what is left behind is whole.
# Usage: sh stop.sh PATH-OF-MAE. The unit suite `stop` has the moments within an update.
. "${0%/*}/language.inc"

tiny="$(tiny_model 32 8 32 2 2) --workers 1 --threads 1"

# stopped SIGNAL STATUS TEXT ARGS...: once standard error has this text, the command gets the signal, and must
# end with the status.
stopped() {
    signal=$1 want=$2 text=$3
    shift 3
    last="SIG$signal to mae $*"
    : >"$dir/err"
    "$mae" "$@" >"$dir/out" 2>"$dir/err" &
    pid=$! waited=0
    until grep -q -e "$text" "$dir/err" || [ $waited -ge 200 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
    kill -"$signal" $pid
    wait $pid
    got=$?
    [ $got -eq "$want" ] || wrong "$last: exit status $got, not $want: $(tail -n 1 "$dir/err")"
}

case_ 'a stopped training says what became of it'
# shellcheck disable=SC2086 # a list of words
stopped INT 75 '^train ' pretrain --data synthetic:32x32x32 $tiny --batch 8 --epochs 1000000 --out "$dir/run"
err '^mae: stopping: the update under way is given up, the run is saved; once more ends at once$'
err '^mae: stopped at step [0-9]* and saved in .*; the same command continues$'
file "$dir/run/last.safetensors" "$dir/run/last.state.safetensors"
[ ! -e "$dir/run/next.manifest.json" ] || wrong "$last: a save is not complete"
end

case_ 'stopped features leave nothing'
model=$dir/run/last.safetensors
stopped TERM 1 '^features ' features --model "$model" --data synthetic:100000x32x32 --out "$dir/f.npy" --threads 1
err '^mae: stopping; once more ends at once$'
err '^mae: stopped after [0-9]* of 100000 images$'
no_out
for f in "$dir"/f.*; do [ ! -e "$f" ] || wrong "$last: $f is left"; done
end

case_ 'stopped neighbours'
stopped INT 1 '^features ' knn --model "$model" --data synthetic:100000x32x32 --val synthetic:20x32x32 --threads 1
err '^mae: stopped after [0-9]* of 100000 images$'
no_out
end

finish stop
