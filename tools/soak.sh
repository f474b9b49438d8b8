#!/bin/sh
# tools/soak.sh DATA [SECONDS] [MAE]: trains for hours (default 7200 s), stopping and resuming every
# few minutes, and looks for what grows. DATA is a labelled source. Pre-training and fine-tuning
# (with averages and a validation every epoch) take turns, each in its own run folder under
# build/soak, with a checkpoint every epoch. Twice a minute resident memory, open files and threads
# are noted in build/soak/samples.tsv. At the end: memory is
# flat in the second half of the first part of each command (the cache of images and the copy for
# checkpoints are filled by then), every later part ends where the first one ended (both within 2 %),
# and files are as many as at first; the logs have every line. Prints a table; exit status 1 when something is wrong. SECONDS 0 only judges what build/soak holds.
set -eu
cd "$(dirname "$0")/.."
data=${1:?usage: tools/soak.sh DATA [SECONDS] [MAE]}
seconds=${2:-7200}
mae=${3:-build/mae}
part_s=${SOAK_PART_S:-480}
threads=${SOAK_THREADS:-1}
dir=build/soak
mkdir -p "$dir"
samples=$dir/samples.tsv
[ "$seconds" -eq 0 ] || printf 'elapsed_s\tpart\tcommand\tstep\trss_kb\tfiles\tthreads\n' >"$samples"
begin=$(date +%s)

elapsed() { echo $(($(date +%s) - begin)); }
last_step() { sed -n 's/.*"step":\([0-9]*\).*/\1/p' "$1/log.jsonl" 2>/dev/null | tail -n 1; }

sample() { # PID PART COMMAND
    rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
    files=$(ls "/proc/$1/fd" 2>/dev/null | wc -l)
    count=$(ls "/proc/$1/task" 2>/dev/null | wc -l)
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$(elapsed)" "$2" "$3" "$(last_step "$dir/$3")" "$rss" \
        "$files" "$count" >>"$samples"
}

small="--model vit_tiny --embed-dim 96 --depth 4 --image-size 64 --patch 8 --threads $threads --workers 2 --batch 32
--epochs 1000000 --log-every 10 --keep 2 --quiet"
part=0 wrong=0
while [ "$(elapsed)" -lt "$seconds" ]; do
    part=$((part + 1))
    case $((part % 2)) in
    1) command=pretrain more="--data $data --save-every 1" ;;
    0) command=finetune more="--data $data --val-share 0.1 --init none --ema 0.99 --save-every 2" ;;
    esac
    # shellcheck disable=SC2086 # words
    "$mae" $command $small $more --out "$dir/$command" >"$dir/out" 2>>"$dir/err" &
    pid=$!
    until=$(($(elapsed) + part_s))
    while [ "$(elapsed)" -lt $until ] && [ "$(elapsed)" -lt "$seconds" ] && kill -0 $pid 2>/dev/null; do
        sleep 30
        sample $pid $part $command
    done
    kill -TERM $pid 2>/dev/null || true
    status=0
    wait $pid || status=$?
    [ $status -eq 75 ] || {
        echo "part $part, $command: exit status $status, not 75; see $dir/err"
        wrong=$((wrong + 1))
        break
    }
done

for command in pretrain finetune; do
    [ -f "$dir/$command/log.jsonl" ] || continue
    awk -v name="$command" '
    /"kind":"step"/ {
        match($0, /"step":[0-9]+/); s = substr($0, RSTART + 7, RLENGTH - 7) + 0
        if (s != last + 10) { print name ": a gap in the log between steps " last " and " s; bad = 1 }
        last = s
    }
    /"kind":"epoch"/ {
        match($0, /"epoch":[0-9.]+/); e = substr($0, RSTART + 8, RLENGTH - 8) + 0
        if (e != epoch + 1) { print name ": a gap in the log between epochs " epoch " and " e; bad = 1 }
        epoch = e
    }
    END { print name ": " last " updates, " epoch + 0 " epochs in the log"; exit bad }
    ' "$dir/$command/log.jsonl" || wrong=$((wrong + 1))
done
awk -F '\t' '
NR == 1 { next }
$2 != part { part = $2; n[part] = 0 }
{ n[part]++; rss[part, n[part]] = $5; files[part, n[part]] = $6; command[part] = $3 }
END {
    print "part command minutes rss_kb_middle rss_kb_last files_first files_last"
    for (p = 1; p <= part; p++) {
        if (n[p] < 4) continue # stopped early
        middle = rss[p, int((n[p] + 1) / 2)]
        last = rss[p, n[p]]
        if (!(command[p] in first)) { first[command[p]] = last; grows = last > 1.02 * middle }
        else grows = last > 1.02 * first[command[p]]
        grows = grows || files[p, n[p]] > files[p, 1]
        print p, command[p], n[p] / 2, middle, last, files[p, 1], files[p, n[p]], (grows ? "GROWS" : "")
        bad += grows
    }
    exit bad > 0
}' "$samples" || wrong=$((wrong + 1))
echo "soak: $(elapsed) s, $part parts, $wrong wrong"
[ $wrong -eq 0 ]
