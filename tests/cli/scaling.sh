#!/bin/sh
# bench/scaling.py: its arithmetic against what the command says and what the library does. Usage as
# of run.sh.
. "${0%/*}/language.inc"

bench=$(cd "${0%/*}/../../bench" && pwd)
python=$(command -v python3)
if [ -z "$python" ]; then
    skip 'scaling' 'no python3'
    finish
    exit
fi
export PYTHONDONTWRITEBYTECODE=1

# step ARGS...: one simulated case; its JSON in $dir/out.
step() {
    "$python" "$bench/scaling.py" --step "$@" >"$dir/out" 2>"$dir/err" ||
        wrong "scaling.py $*: $(tail -n 1 "$dir/err")"
    last="scaling.py $*"
}

# holds EXPRESSION: of python3, with scaling's names.
holds() {
    PYTHONPATH="$bench" "$python" -c "
import sys
from scaling import *
sys.exit(0 if ($1) else 1)" 2>"$dir/err" || wrong "not so: $1 $(tail -n 1 "$dir/err")"
}

case_ 'parameters and FLOPs are those of the plan'
for model in vit_base vit_large vit_huge; do
    run 0 plan pretrain --data synthetic:64 --model $model --batch 1
    flops=$(sed -n 's/^compute *\([0-9.]*\) GFLOP.*/\1/p' "$dir/out")
    n=$(sed -n 's/^values.* \([0-9]*\) trained.*/\1/p' "$dir/out")
    step --model $model
    out "\"parameters\": $n,"
    holds "abs($flops - 1e-9 * step_flops(parameters(MODELS['$model']))) < 6e-4"
done
end

case_ 'a checkpoint has the list of its model'
run 0 pretrain --data synthetic:8x16x16 --model vit_tiny --image-size 16 --patch 4 --depth 2 \
    --decoder-depth 1 --batch 8 --steps 1 --out "$dir/run"
holds "(lambda s, listed: [(n, math.prod(x)) for n, x in listed] ==
    [(n, math.prod(x)) for n, x in names(s)])(*read_header('$dir/run/last.safetensors'))"
end

# The numbers of tests/unit/test_buckets.c.
case_ 'buckets and owners are cut as the library does'
holds "[(len(c), max(l), l.count(0)) for c, l in
    (buckets(parameters(MODELS['vit_base']), p) for p in (2, 8, 64, 512))] ==
    [(20, 58085120, 0), (45, 15167488, 0), (147, 2956544, 0), (147, 2359296, 365)]"
end

case_ 'nothing is lost alone, or without a network and a wait'
step --workers 1 --network 10
out '"efficiency": 1.0,'
holds "all(abs(simulate(case('vit_large', 'gpu', 'infinite', 64, 256, algorithm=a, sigma=0))
    ['efficiency'] - 1) < 1e-9 for a in ALGORITHMS)"
end

# What a worker receives, and in which time a free network does it.
case_ 'rounds of each exchange'
holds "[sum(r[1] for r in ALGORITHMS[a](64.0, 8, 1)) for a in ('binomial', 'ring', 'halving')] ==
    [2 * 3 * 64, 2 * 7 / 8 * 64, 2 * 7 / 8 * 64]"
holds "[len(ALGORITHMS[a](64.0, 8, 1)) for a in ('binomial', 'ring', 'halving')] == [6, 14, 6]"
holds "sum(r[1] for r in two_level(64.0, 64, 8) if r[0] == 1) == 2 * 7 / 8 * 64"
holds "abs(exchange([0.0], [ring(800.0, 8, 1)], (NONE, Level(1.0, 100.0))) - 14 * 2) < 1e-9"
end

case_ 'buckets wait for the network, rounds for the program'
holds "exchange([0.0, 1.0], [[(1, 400, 0, 0)]] * 2, (NONE, Level(0, 100.0))) == 8"
holds "exchange([0.0, 9.0], [[(1, 400, 0, 0)]] * 2, (NONE, Level(0, 100.0))) == 13"
holds "exchange([0.0], [[(1, 100, 0, 0)] * 2], (NONE, Level(0, 100.0)), looks=[3.0, 5.0], end=5) == 5"
holds "abs(expected_maximum(2) - 1 / math.sqrt(math.pi)) < 1e-6 and abs(expected_maximum(1)) < 1e-9"
end

case_ 'tables, picture, comparison with measurements'
"$python" "$bench/scaling.py" >"$dir/out" 2>"$dir/err" || wrong "tables: $(tail -n 1 "$dir/err")"
last=scaling.py
out '^| ViT-B/16 | 1.34 GB | 6.7 s '
"$python" "$bench/scaling.py" --svg "$dir/picture" || wrong 'no picture'
[ "$(grep -c '<polyline' "$dir/picture")" -eq 5 ] || wrong 'not five curves'
for n in 8 30000000; do
    echo "{\"kind\": \"background\", \"bytes\": $n, \"least_s\": ${n}e-9, \"median_s\": 1}"
done >"$dir/sums"
for k in 'one", "step_s": [1, 2]' 'apart", "step_s": [1, 3]' 'together", "step_s": [2, 4]'; do
    echo "{\"model\": \"vit_base\", \"image\": 224, \"patch\": 16, \"batch\": 4, \"kind\": \"$k}"
done >"$dir/steps"
"$python" "$bench/scaling.py" --validate "$dir/steps" "$dir/sums" >"$dir/out" 2>"$dir/err"
out 'least | 446.6 MB, 20 | 1000 | 1000 | 1447 | 2000 | 1.38 |$'
out 'median | 446.6 MB, 20 | 1500 | 2000 | 2447 | 3000 | 1.23 |$'
end

finish
