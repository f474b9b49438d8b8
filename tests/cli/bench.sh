#!/bin/sh
# The scripts of bench/, with programs that print what is written here in place of mae and PyTorch:
# what is tested is their arithmetic, and that they notice failures. Usage as of run.sh.
. "${0%/*}/language.inc"

scripts=$(cd "${0%/*}/../../bench" && pwd)
python=$(command -v python3)

# script STATUS NAME ARGS...: as `run`, of a script of bench/.
script() {
    want=$1 name_of=$2
    shift 2
    case $name_of in *.sh) with=sh ;; *) with=$python ;; esac
    "$with" "$scripts/$name_of" "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    last="$name_of"
    [ $got -eq "$want" ] || wrong "$last: exit status $got, not $want: $(tail -n 1 "$dir/err")"
}

# A mae of 4 images/s with one thread and 7.6 with more, whose every run leaves a checkpoint.
cat >"$dir/mae" <<'END'
#!/bin/sh
what="$1 $2" speed=7.6 out=
while [ $# -gt 0 ]; do
    [ "$1 ${2:-}" = '--threads 1' ] && speed=4
    [ "$1" = --out ] && out=$2
    shift
done
[ -z "$out" ] || { mkdir -p "$out" && echo weights >"$out/last.safetensors"; }
case $what in
bench*) printf '{"task":"pretrain","batch":32,"threads":2,"images_per_s_median":%s,' $speed
    printf '"gflops":195,"peak_gflops":260,"fraction_of_peak":0.75,"bytes_planned":3000000000,'
    echo '"bytes_rss":3500000000,"bytes_peak_rss":4000000000}' ;;
esac
END
# A PyTorch of 2 images/s, or 5 compiled, that takes twice the memory; tables are made by python3.
cat >"$dir/python" <<END
#!/bin/sh
case "\$*" in
*peers_table*) exec "$python" "\$@" ;;
*--batch\ 8*) echo "no PyTorch here" >&2; exit 2 ;;
*--compile*) speed=5 program=compiled ;;
*) speed=2 program=eager ;;
esac
printf '{"program":"%s","threads":2,"images_per_s_median":%s,' \$program \$speed
echo '"bytes_rss":7000000000,"bytes_peak_rss":8000000000}'
END
chmod +x "$dir/mae" "$dir/python"

case_ 'speed table'
script 0 speed.sh "$dir/mae"
out '^| pre-training, vit_base, batch 32 | 2 | 7.60 images/s | 195 of 260 GFLOP/s | \*\*75.0 %\*\* '
out '| 3.00 GB planned / 4.00 GB resident = 0.75 |$'
[ "$(grep -c '^| .*images/s' "$dir/out")" -eq 5 ] || wrong "$last: not five steps"
[ "$(nproc)" -lt 2 ] || out '^2 threads against 1, .*: 1.90x (7.6 against 4 images/s)'
out '^loader, .*: 8 images/s'
out '^info on a file of 0 MB: [0-9.]* ms'
script 2 speed.sh --nonsense
err 'no option --nonsense'
script 1 speed.sh /bin/false
end

if [ -z "$python" ]; then
    skip 'peers' 'no python3'
    finish
    exit
fi

case_ 'peers'
script 0 peers.sh --mae "$dir/mae" --python "$dir/python" --rounds 2 pretrain_base features_base
out '^| pretrain_base | mae | 7.60 (7.60 to 7.60) | 4.00 GB |  |  |$'
out '^| pretrain_base | eager | 2.00 (2.00 to 2.00) | 8.00 GB | 3.80x (least 3.80x) | 0.50 |$'
out '^| features_base | compiled | 5.00 .* 1.52x'
script 0 peers.sh --mae "$dir/mae" --python "$dir/python" --rounds 1 --threads 1 --modes eager \
    --json pretrain_tiny
out '^{"case": "pretrain_tiny", "task":"pretrain"'
out '"program": "eager".*"speed_ratio": 2.0, "speed_ratio_min": 2.0, "memory_ratio": 0.5}'
[ "$(wc -l <"$dir/out")" -eq 4 ] || wrong "$last: not two measurements and two summaries"
script 0 peers.sh --mae "$dir/mae" --python "$dir/python" --rounds 1 --data "$dir" loader
out '^| loader | mae | 7.60 (7.60 to 7.60) |  |  |  |$'
out '^| loader | eager | 2.00 (2.00 to 2.00) |  | 3.80x (least 3.80x) |  |$'
end

case_ 'peers that fail'
script 2 peers.sh --mae "$dir/mae" --python "$dir/python" finetune_base
err 'no PyTorch here'
script 2 peers.sh --nonsense
err 'no option --nonsense'
script 2 peers.sh --mae "$dir/mae" loader
err 'needs --data DIR'
script 2 peers.sh --mae "$dir/mae" nonsense
err 'no case nonsense'
end

case_ 'PyTorch is named where it is missing'
mkdir "$dir/without"
echo 'raise ImportError("No module named torch")' >"$dir/without/torch.py"
PYTHONPATH="$dir/without" script 2 peer_pytorch.py --batch 1
err 'pip install torch transformers'
no_out
end

finish
