#!/bin/sh
# How many threads run on which processors: options, OpenMP's environment, affinity, and the line that
# says so. Usage: sh threads.sh PATH-OF-MAE
. "${0%/*}/language.inc"

unset OMP_NUM_THREADS OMP_THREAD_LIMIT OMP_PROC_BIND OMP_PLACES GOMP_CPU_AFFINITY OMP_WAIT_POLICY GOMP_SPINCOUNT
tiny="$(tiny_model 8 4 8 1 1) --workers 1 --data synthetic:8x8x8 --batch 4 --warmup-epochs 0"

# says TEXT [NAME=VALUE...] [-- ARGS...]: a short training whose standard error has this line.
says() {
    text=$1 given=
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        given="$given $1"
        shift
    done
    [ $# -gt 0 ] && shift
    last="$given mae pretrain $*"
    # shellcheck disable=SC2086 # lists of words
    env $given "$mae" pretrain $tiny --out "$dir/run" --restart --epochs 1 "$@" \
        >"$dir/out" 2>"$dir/err" || wrong "$last: exit status $?"
    grep -qx -e "$text" "$dir/err" || wrong "$last: standard error lacks: $text"
}

case_ 'the start says how many threads there are'
says '[0-9]* threads\{0,1\} on [0-9]* processors\{0,1\}'
n=$(sed -n 's/.* on \([0-9]*\) processors\{0,1\}$/\1/p' "$dir/err")
[ "$n" -le "$(nproc)" ] || wrong "$last: $n processors"
processors="$n processors\\{0,1\\}"
says "$n threads\\{0,1\\} on $processors"
says "1 thread (--threads) on $processors" -- --threads 1
says "1 thread (OMP_NUM_THREADS) on $processors" OMP_NUM_THREADS=1
says "1 thread (OMP_NUM_THREADS) on $processors" OMP_NUM_THREADS=1,2
says "1 thread (OMP_THREAD_LIMIT) on $processors" OMP_THREAD_LIMIT=1
says "1 thread (--threads) on $processors" OMP_NUM_THREADS=2 -- --threads 1
says "1 thread (--device ref) on $processors" -- --device ref
more=$((n + 1))
says "warning: $more threads (OMP_NUM_THREADS) on $processors: .*fewer are faster" OMP_NUM_THREADS=$more
says 'warning: --threads 2: OMP_THREAD_LIMIT allows 1' OMP_THREAD_LIMIT=1 -- --threads 2
run 0 features --model "$dir/run/last.safetensors" --data synthetic:4x8x8 --out "$dir/f.npy" --threads 1
err '^1 thread (--threads) on '
run 0 features --model "$dir/run/last.safetensors" --data synthetic:4x8x8 --out "$dir/f.npy" --quiet
no_err
end

if taskset -c 0 true 2>/dev/null; then
    case_ 'affinity narrows'
    first=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status)
    # shellcheck disable=SC2086 # a list of words
    taskset -c "$first" "$mae" pretrain $tiny --out "$dir/run" --restart --epochs 1 2>"$dir/err" >"$dir/out"
    last='mae pretrain on one processor'
    err '^1 thread on 1 processor$'
    end
else
    skip 'affinity narrows' 'taskset sets none here'
fi

# The sets of processors that the threads of a process may run on, each once.
places() { sed -n 's/^Cpus_allowed_list:[^0-9]*//p' /proc/"$1"/task/*/status 2>/dev/null | sort -u; }

# Threads of OpenMP sit on one processor each, all others may go where they like.
if [ "$n" -gt 1 ]; then
    case_ 'bound threads use all processors'
    large="$(tiny_model 64 8 128 1 2) --data synthetic:32x64x64 --batch 16 --warmup-epochs 0"
    for setting in OMP_PROC_BIND=true OMP_PLACES=threads; do
        says "$n threads on $n processors, bound" "$setting"
        rm -rf "$dir/bound"
        # shellcheck disable=SC2086 # a list of words
        env "$setting" "$mae" pretrain $large --out "$dir/bound" --epochs 100000 --threads 2 --workers 1 \
            --log-every 1 --quiet >"$dir/out" 2>"$dir/err" &
        pid=$! waited=0
        until [ $waited -ge 100 ] || [ "$(places $pid | wc -l)" -ge 3 ]; do
            sleep 0.1
            waited=$((waited + 1))
        done
        places $pid >"$dir/places"
        kill -TERM $pid
        wait $pid
        last="$setting mae pretrain"
        [ "$(grep -cx '[0-9]*' "$dir/places")" -eq 2 ] || wrong "$last: not on two processors"
        [ "$(wc -l <"$dir/places")" -eq 3 ] || wrong "$last: the loader is bound, too"
    done
    end
else
    skip 'bound threads use all processors' 'there is one processor'
fi

finish threads
