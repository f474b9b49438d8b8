#!/bin/sh
# Processes that stop answering while a job trains. Two hosts are two network namespaces, joined by a
# pair of virtual cards; a cut link is a card that is down. Nothing is sent outside of them.
# Wants a command built with MPI=1 and an mpirun; for the hosts, root, ip and Open MPI.
# Usage: tests/mpi/peers.sh PATH-OF-MAE
. "${0%/*}/../cli/language.inc"

mpirun=${MPIRUN:-mpirun}
export OMP_WAIT_POLICY=passive OMPI_MCA_plm_rsh_agent=sh
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_orte_tmpdir_base="$dir" # what a killed mpirun leaves lies there
over=
"$mpirun" --version 2>/dev/null | grep -q 'Open MPI' && over=--oversubscribe
a=mae-$$-a b=mae-$$-b hosts=

clean() {
    for host in $hosts; do
        for pid in $(ip netns pids "$host"); do kill -KILL "$pid" 2>/dev/null; done
        ip netns del "$host"
    done
    rm -rf "$dir"
}
trap clean EXIT
trap 'exit 1' INT TERM

# Silence of 2 s is told of, of 4 s ends the job.
train="pretrain --data synthetic:72x16x16 --epochs 100000 --save-every 1 --base-lr 1e-2 --min-lr 1e-3 --batch 8
$(tiny_model 16 4 48 2 3) --threads 1 --workers 1 --log-every 1 --warmup-epochs 1 --seed 3 --peer-timeout 4"

steps() { sed -n 's/.*"kind":"step","step":\([0-9]*\).*/\1/p' "$1/log.jsonl" 2>/dev/null | tail -n 1; }

# until_ SECONDS COMMAND...: waits until the command succeeds.
until_() {
    left=$(($1 * 20))
    shift
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.05
    done
}
trains() { [ "$(steps "$1")" -ge "$2" ] 2>/dev/null; }
said() { grep -q -e "$2" "$1"; }

# One line of ours says why the job ended, whatever mpirun adds.
ended_by() {
    [ "$(grep -c '^error: ' "$1")" -eq 1 ] || wrong "$last: not one error: $(grep '^error: ' "$1")"
    said "$1" "^error: $2" || wrong "$last: no error: $2; but $(grep '^error: ' "$1")"
    ! said "$1" '^mae: .*saved' || wrong "$last: $(grep '^mae: ' "$1")"
}

# continued RUN: the same command goes on from the last checkpoint, to the bytes of a run that nobody
# disturbed.
continued() {
    to=$(($(steps "$1") + 3))
    for run in "$1" "$1.calm"; do
        # shellcheck disable=SC2086 # lists of words
        timeout 100 "$mpirun" $over -n 2 "$mae" $train --quiet --steps $to --out "$run" >/dev/null 2>"$dir/err" ||
            wrong "$run does not go on: $(head -n 3 "$dir/err")"
    done
    same "$1/last.safetensors" "$1.calm/last.safetensors"
}

# --- two hosts ------------------------------------------------------------------------------------

# A host: a namespace whose processes have its name.
host() {
    ip netns add "$1" 2>/dev/null || return
    hosts="$hosts $1"
    ip netns exec "$1" unshare -u hostname "$2" 2>/dev/null && ip -n "$1" link set lo up
}

link_hosts() {
    host $a a && host $b b &&
        ip link add card netns $a type veth peer name card netns $b &&
        ip -n $a addr add 10.231.0.1/30 dev card && ip -n $b addr add 10.231.0.2/30 dev card &&
        ip -n $a link set card up && ip -n $b link set card up
}

# What mpirun calls instead of ssh: AGENT HOST COMMAND...
make_agent() {
    cat >"$dir/agent" <<EOF
#!/bin/sh
shift
exec ip netns exec $b unshare -u sh -c 'hostname b; eval "\$*"' sh "\$@"
EOF
    chmod +x "$dir/agent"
}

# One process on each.
start_on_hosts() {
    # shellcheck disable=SC2086 # a list of words
    OMPI_MCA_plm_rsh_agent=$dir/agent timeout 100 \
        ip netns exec $a unshare -u sh -c 'hostname a; exec "$@"' sh \
        "$mpirun" --host 10.231.0.1,10.231.0.2 --mca btl tcp,self -n 2 "$mae" $train --out "$1" \
        >"$1.out" 2>"$1.err" &
    job=$! last="mpirun --host a,b mae $train"
}
no_process() { [ -z "$(ip netns pids $a)$(ip netns pids $b)" ]; }

two_hosts() {
    cut=$dir/cut
    case_ 'a link that is cut and comes back: who did not answer, and that all go on'
    start_on_hosts "$cut"
    until_ 30 trains "$cut" 8 || wrong "$last: does not train: $(head -n 3 "$cut.err")"
    ip -n $b link set card down
    until_ 10 said "$cut.err" '^warning: rank 1 on b has not answered for [23] s, since [0-9:]*: ' ||
        wrong "$last: does not say that rank 1 on b is silent: $(tail -n 2 "$cut.err")"
    step=$(steps "$cut")
    ip -n $b link set card up
    until_ 10 said "$cut.err" '^warning: rank 1 on b answers again, after [23] s' ||
        wrong "$last: does not say that rank 1 on b is back: $(tail -n 2 "$cut.err")"
    until_ 10 trains "$cut" $((step + 8)) || wrong "$last: does not go on after step $step"
    end

    case_ 'a link that stays cut: the job ends, all of it, and goes on later'
    ip -n $b link set card down
    before=$(date +%s)
    { wait $job; } 2>/dev/null && wrong "$last: ended well" # the shell tells of kills
    [ $(($(date +%s) - before)) -lt 30 ] || wrong "$last: took $(($(date +%s) - before)) s to end"
    ended_by "$cut.err" 'rank 1 on b has not answered rank 0 on a for [45] s, since '
    until_ 20 no_process || wrong "$last: somebody is left"
    continued "$cut"
    end
}

# --- one host -------------------------------------------------------------------------------------

# It stands still while other things are tested.
stop_rank_0() {
    stopped=$dir/stopped
    # shellcheck disable=SC2086 # lists of words
    timeout 100 "$mpirun" $over -n 2 "$mae" $train --out "$stopped" >"$dir/out" 2>"$stopped.err" &
    still=$!
    until_ 30 trains "$stopped" 8
    pkill -STOP -o -f "^$mae .*$stopped\$"
}

stopped_rank_0() {
    case_ 'rank 0 stands still: the others end the job'
    last="mpirun -n 2 mae $train"
    ! wait $still || wrong "$last: ended well"
    ended_by "$stopped.err" 'rank 0 on .* has not answered rank 1 on .* for [45] s, since '
    ! pgrep -f "^$mae .*$stopped\$" >/dev/null || wrong "$last: somebody is left"
    end
}

stop_rank_0
if [ -z "$over" ]; then
    skip 'a link that is cut' "$mpirun is not Open MPI's"
elif ! command -v ip >/dev/null 2>&1 || ! link_hosts 2>"$dir/err"; then
    skip 'a link that is cut' 'no network namespaces: they take root, and ip of iproute2'
else
    make_agent
    two_hosts
fi
stopped_rank_0
finish peers
