#!/bin/sh
# Several processes train one model: the same losses whatever their number, stops, deaths, errors.
# Wants a command built with MPI=1 and an mpirun (Open MPI or MPICH) for as many processes as asked;
# FAULTS_SO names the library to preload (tests/faults/faults.c).
# Usage: tests/mpi/run.sh PATH-OF-MAE
. "${0%/*}/../cli/language.inc"

mpirun=${MPIRUN:-mpirun}
export OMP_WAIT_POLICY=passive
export OMPI_MCA_plm_rsh_agent=sh # there may be no ssh, and nobody to call
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
over= preload=
"$mpirun" --version 2>/dev/null | grep -q 'Open MPI' && over=--oversubscribe

# start N ARGS...: N processes of the command, in the background; finished STATUS waits for them;
# mpi STATUS N ARGS... does both.
start() {
    n=$1
    shift
    # shellcheck disable=SC2086 # an option or nothing
    timeout 100 "$mpirun" $over -n "$n" ${preload:+env "LD_PRELOAD=$preload"} "$mae" "$@" \
        >"$dir/out" 2>"$dir/err" &
    job=$! last="mpirun -n $n mae $*"
}
finished() {
    wait $job
    got=$?
    [ $got -eq "$1" ] || wrong "$last: exit status $got, not $1: $(head -n 3 "$dir/err")"
}
mpi() {
    want=$1
    shift
    start "$@"
    finished "$want"
}

# spoilt STATUS N RANK FUNCTION CALLS TIMES ARGS...: as mpi, but in one of the processes a function of
# the C library gives NaN, after so many calls so many times.
spoilt() {
    want=$1 n=$2
    export FAULTS="number $4 $5 $6" FAULTS_RANK="$3" FAULTS_LOG="$dir/struck"
    shift 6
    rm -f "$dir/struck"
    preload=$FAULTS_SO
    mpi "$want" "$n" "$@"
    preload=
    unset FAULTS FAULTS_RANK FAULTS_LOG
    [ -f "$dir/struck" ] && [ "$(wc -l <"$dir/struck")" -eq 1 ] ||
        wrong "$last: the fault did not strike one process"
}

# left_out FOLDER N TEXT: N updates, each with an event that says so.
left_out() {
    [ "$(grep -c '"event"' "$1/log.jsonl")" -eq "$2" ] || wrong "$1: not $2 events"
    [ "$(grep -c "\"event\".*not finite: $3\"" "$1/log.jsonl")" -eq "$2" ] ||
        wrong "$1: no $3: $(grep '"event"' "$1/log.jsonl" | head -n 1)"
}

# A column of a log: column FILE KEY
column() { sed -n "s/.*\"$2\":\([-0-9.e]*\).*/\1/p" "$1"; }

# alike A B KEY...: the same lines, numbers within 1e-5 of each other: sums in another order, carried
# through the updates of a run.
alike() {
    a=$1 b=$2
    shift 2
    for key; do
        column "$a/log.jsonl" "$key" >"$dir/a"
        column "$b/log.jsonl" "$key" >"$dir/b"
        [ -s "$dir/a" ] || wrong "$a has no $key"
        paste "$dir/a" "$dir/b" | awk '
            { d = $1 - $2; if (d < 0) d = -d; s = $1 < 0 ? -$1 : $1; if (NF != 2 || d > 1e-5 * s) exit 1 }
        ' || wrong "$last: $key of $a and $b differ: $(paste "$dir/a" "$dir/b" | tail -n 1)"
    done
}

# Waits until a file has lines: soon FILE N
soon() {
    waited=0
    until [ -f "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ] || [ $waited -ge 300 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
}

tiny="$(tiny_model 16 4 48 2 3) --threads 1 --workers 1 --log-every 1 --warmup-epochs 1 --seed 3"
pretrain="pretrain --data synthetic:72x16x16 --epochs 3 --base-lr 1e-2 --save-every 1 $tiny"

# --- the same training ----------------------------------------------------------------------------

case_ 'one process of a command built with MPI'
run 0 pretrain ${pretrain#pretrain } --batch 24 --out "$dir/p1"
end

case_ 'two and four processes: the losses of one'
mpi 0 2 $pretrain --batch 12 --out "$dir/p2"
err '24 images, 3 an epoch'
[ "$(grep -c '^updates' "$dir/out")" -eq 1 ] || wrong 'the result is printed more than once'
mpi 0 4 $pretrain --batch 6 --out "$dir/p4"
alike "$dir/p1" "$dir/p2" loss grad_norm lr
alike "$dir/p1" "$dir/p4" loss grad_norm lr
end

case_ 'twice the same: the same bytes'
mpi 0 2 $pretrain --batch 12 --out "$dir/again"
same "$dir/p2/last.safetensors" "$dir/again/last.safetensors"
same "$dir/p2/last.state.safetensors" "$dir/again/last.state.safetensors"
end

case_ 'micro-batches are exchanged once an update'
mpi 0 2 $pretrain --batch 4 --accumulate 3 --out "$dir/acc"
alike "$dir/p1" "$dir/acc" loss grad_norm
end

case_ 'odd batches, three processes'
run 0 pretrain ${pretrain#pretrain } --batch 21 --out "$dir/o1"
mpi 0 3 $pretrain --batch 7 --out "$dir/o3"
alike "$dir/o1" "$dir/o3" loss grad_norm
end

case_ 'optimiser state in parts'
mpi 0 4 $pretrain --batch 6 --shard-optimizer --out "$dir/z4"
alike "$dir/p1" "$dir/z4" loss grad_norm
end

finetune="finetune --data synthetic:72x16x16 --val synthetic:31x16x16 --init $dir/p1/last.safetensors
--epochs 2 --warmup-epochs 1 --log-every 1 --threads 1 --workers 1 --seed 3 --save-every 1"

case_ 'fine-tuning: mixing, averages, stochastic depth and validation'
run 0 $finetune --batch 24 --ema 0.9 --drop-path 0.2 --out "$dir/f1"
mpi 0 4 $finetune --batch 6 --ema 0.9 --drop-path 0.2 --out "$dir/f4"
alike "$dir/f1" "$dir/f4" loss val_loss top1 top5 ema_val_loss ema_top1
mpi 0 2 $finetune --batch 12 --ema 0.9 --drop-path 0.2 --shard-optimizer --out "$dir/f2"
alike "$dir/f1" "$dir/f2" loss val_loss top1 ema_val_loss
end

probe="probe ${finetune#finetune }"

case_ 'probing: batch norm over all processes'
run 0 $probe --batch 24 --out "$dir/l1"
mpi 0 3 $probe --batch 8 --out "$dir/l3"
alike "$dir/l1" "$dir/l3" loss val_loss top1
mpi 0 3 $probe --batch 8 --no-sync-batchnorm --out "$dir/ln"
[ "$(column "$dir/l1/log.jsonl" loss | tail -n 1)" != "$(column "$dir/ln/log.jsonl" loss | tail -n 1)" ] ||
    wrong 'a batch norm of its own in each process changes nothing'
end

case_ 'probing cached features'
run 0 $probe --batch 24 --augment none --cache-features --out "$dir/c1"
mpi 0 2 $probe --batch 12 --augment none --cache-features --out "$dir/c2"
alike "$dir/c1" "$dir/c2" loss val_loss top1
end

# --- stops, and other numbers of processes --------------------------------------------------------

case_ 'four, two and one process go on with one run'
mpi 0 4 $pretrain --batch 6 --steps 4 --out "$dir/e"
mpi 2 2 $pretrain --out "$dir/e"
err 'images of an update 24 (12 a process) -> 12 by 2 processes'
mpi 0 2 $pretrain --batch 12 --steps 7 --out "$dir/e"
run 0 pretrain ${pretrain#pretrain } --batch 8 --accumulate 3 --steps 0 --out "$dir/e"
alike "$dir/p1" "$dir/e" loss grad_norm
end

case_ 'parts of the optimiser state go on in other parts, and whole'
mpi 0 4 $pretrain --batch 6 --shard-optimizer --steps 4 --out "$dir/y"
mpi 0 2 $pretrain --batch 12 --shard-optimizer --steps 7 --out "$dir/y"
run 0 pretrain ${pretrain#pretrain } --batch 24 --no-shard-optimizer --steps 0 --out "$dir/y"
alike "$dir/p1" "$dir/y" loss grad_norm
end

long="$pretrain --epochs 1000 --min-lr 1e-3 --batch 8"

case_ 'a signal to one process stops all at the same update, saved'
start 3 $long --out "$dir/s"
soon "$dir/s/log.jsonl" 20
pkill -USR1 -n -f "$dir/s\$" || wrong 'no process to signal'
finished 75
err 'the same command continues'
step=$(column "$dir/s/log.jsonl" step | tail -n 1)
mpi 0 3 $long --steps $((step + 3)) --out "$dir/s"
mpi 0 3 $long --steps $((step + 3)) --out "$dir/s2"
same "$dir/s/last.safetensors" "$dir/s2/last.safetensors"
end

case_ 'a process that dies ends the others'
start 3 $long --out "$dir/k"
soon "$dir/k/log.jsonl" 20
pkill -KILL -n -f "$dir/k\$" || wrong 'no process to kill'
before=$(date +%s)
wait $job
[ $? -ne 0 ] || wrong 'the job ended well'
[ $(($(date +%s) - before)) -lt 30 ] || wrong 'the others stayed'
! pgrep -f "$dir/k\$" >/dev/null || wrong 'somebody is left'
step=$(cat "$dir/s2/log.jsonl" "$dir/k/log.jsonl" | column /dev/stdin step | sort -n | tail -n 1)
for run in k s2; do mpi 0 3 $long --steps $((step + 3)) --out "$dir/$run"; done
same "$dir/k/last.safetensors" "$dir/s2/last.safetensors"
end

# --- failures of one are those of all -------------------------------------------------------------

case_ 'an image that one process cannot read'
mkdir "$dir/photos"
for i in 0 1 2 3 4 5 6 7; do cp "$dir/p1/reconstructions/3.png" "$dir/photos/$i.png"; done
echo 'no image' >"$dir/photos/3.png"
photos="pretrain --data $dir/photos --epochs 1 $tiny"
mpi 1 4 $photos --batch 2 --strict --out "$dir/q"
[ "$(grep -c '^mae: ' "$dir/err")" -eq 1 ] || wrong "$(grep -c '^mae: ' "$dir/err") messages, not one"
err 'photos/3.png'
mpi 0 4 $photos --batch 2 --out "$dir/q"
out '^unreadable  1 images'
end

case_ 'a wrong line is refused once'
mpi 2 3 $pretrain --heads 5 --out "$dir/w"
[ "$(grep -c '^mae: ' "$dir/err")" -eq 1 ] || wrong "$(grep -c '^mae: ' "$dir/err") messages, not one"
end

case_ 'rank 0 cannot write'
mkdir -p "$dir/full/config.json.tmp"
mpi 1 3 $pretrain --batch 8 --out "$dir/full"
err 'full/config.json'
end

case_ 'training that diverges gives up in all'
mpi 1 3 $pretrain --batch 8 --epochs 30 --lr 1000 --warmup-epochs 0 --out "$dir/n"
err '10 updates in a row'
end

# --- a number that is none in one of them ---------------------------------------------------------

if [ ! -f "${FAULTS_SO:-}" ]; then
    skip 'NaN in one process' 'FAULTS_SO does not name the library to preload'
    finish mpi
    exit
fi

# Attention takes 81 logarithms an image, of 27 tokens of three heads, which only its backward pass
# reads: half of an update's are behind it in the decoder's block.
case_ 'a gradient that is NaN in one process: the update that one process leaves out'
culprit='gradient of decoder_blocks.0.attn.qkv.bias'
spoilt 0 1 0 logf $((81 * 24 / 2)) 1 $pretrain --batch 24 --out "$dir/g1"
left_out "$dir/g1" 1 "$culprit"
for rank in 0 1; do
    spoilt 0 2 $rank logf $((81 * 12 / 2)) 1 $pretrain --batch 12 --out "$dir/g2.$rank"
    out '^skipped  *1$'
    left_out "$dir/g2.$rank" 1 "$culprit"
    alike "$dir/g1" "$dir/g2.$rank" loss grad_norm lr
done
same "$dir/g2.0/last.safetensors" "$dir/g2.1/last.safetensors"
same "$dir/g2.0/last.state.safetensors" "$dir/g2.1/last.state.safetensors"
end

case_ 'the same with the optimiser state in parts'
for rank in 0 1 3; do
    spoilt 0 4 $rank logf $((81 * 6 / 2)) 1 $pretrain --batch 6 --shard-optimizer --out "$dir/gz.$rank"
    left_out "$dir/gz.$rank" 1 "$culprit"
    alike "$dir/g1" "$dir/gz.$rank" loss grad_norm
    same "$dir/gz.0/last.safetensors" "$dir/gz.$rank/last.safetensors"
done
end

# The reference loops call erfc for each of 192 hidden units of five tokens an image: call 5000 is in the
# first block of the first micro-batch.
case_ 'an activation that is NaN in one process'
spoilt 0 1 0 erfc 5000 1 $pretrain --device ref --batch 24 --out "$dir/n1"
left_out "$dir/n1" 1 'activation blocks.0.*'
for rank in 0 1 2; do
    spoilt 0 3 $rank erfc 5000 1 $pretrain --device ref --batch 8 --out "$dir/n3.$rank"
    left_out "$dir/n3.$rank" 1 'activation blocks.0.*'
    alike "$dir/n1" "$dir/n3.$rank" loss grad_norm
    same "$dir/n3.0/last.safetensors" "$dir/n3.$rank/last.safetensors"
done
grep -q 'rank 2 of 3: not finite' "$dir/n3.2/log.jsonl" || wrong 'the log does not say where'
end

case_ 'the same in the first of two micro-batches'
spoilt 0 2 1 erfc 5000 1 $pretrain --device ref --batch 6 --accumulate 2 --out "$dir/na"
left_out "$dir/na" 1 'activation blocks.0.*'
alike "$dir/n1" "$dir/na" loss grad_norm
end

# Its validation would not be finite if the running statistics had taken it in.
case_ 'a NaN that the batch norm brings to all'
for rank in 0 1; do
    spoilt 0 2 $rank erfc 5000 1 $probe --device ref --batch 12 --out "$dir/nl.$rank"
    left_out "$dir/nl.$rank" 1 'activation .*'
    [ "$(grep -c '"val_loss":[0-9]' "$dir/nl.$rank/log.jsonl")" -eq 2 ] || wrong "$last: no val_loss"
done
same "$dir/nl.0/last.safetensors" "$dir/nl.1/last.safetensors"
end

case_ 'three in a row take all back to the last checkpoint'
spoilt 0 3 1 logf $((81 * 8 * 7 / 2)) $((81 * 8 * 2 + 1)) $pretrain --batch 8 --out "$dir/nb"
err 'rolled back to those of step 3'
out '^skipped  *3$'
out '^updates  *6$'
left_out "$dir/nb" 3 "$culprit"
end

case_ 'ten in a row end all'
spoilt 1 3 2 logf $((81 * 8 * 3 / 2)) 1000000 $pretrain --batch 8 --epochs 9 --out "$dir/nt"
[ "$(grep -c '^mae: ' "$dir/err")" -eq 1 ] || wrong "$(grep -c '^mae: ' "$dir/err") messages, not one"
err '10 updates in a row were left out (not finite: gradient of decoder_blocks.0.attn.qkv.bias)'
left_out "$dir/nt" 10 "$culprit"
end

finish mpi
