#!/bin/sh
# Conversions, and checkpoints of other tools, as a user would have them. Usage: sh convert.sh
# PATH-OF-MAE (or MAE in the environment).
. "${0%/*}/language.inc"

size='--image-size 32x48 --patch 8 --embed-dim 32 --depth 2 --heads 2'
sets='--data synthetic:32x32x48 --val synthetic:20x32x48'
short='--batch 16 --steps 2 --epochs 2 --warmup-epochs 0 --threads 2 --workers 1 --quiet'

run 0 pretrain --data synthetic:32x32x48 --out "$dir/run" $size --decoder-embed-dim 32 --decoder-depth 1 \
    --decoder-heads 4 $short
ours=$dir/run/last.safetensors
picture=$dir/run/reconstructions/0.png
[ -s "$picture" ] || picture=$(ls "$dir"/run/reconstructions/*.png | head -n 1)

case_ 'there and back'
for way in 'official official.pth' 'official official.safetensors' 'hf hf' 'mae copy.safetensors'; do
    set -- $way
    run 0 convert "$ours" "$dir/$2" --to "$1" --verify "$picture" --json
    json from to tensors bytes weight_change feature_change prediction_change note
    out '"weight_change":0.0,"feature_change":0.0,"prediction_change":0.0'
    run 0 convert "$dir/$2" "$dir/back.safetensors" --to mae
    out 'read back and equal'
    run 0 info "$dir/back.safetensors"
    out '^encoder *width 32, depth 2, heads 2'
    out '^decoder *width 32, depth 1, heads 4, target norm-pix'
    run 0 features --quiet --model "$dir/$2" --data synthetic:5x32x48 --out "$dir/f.npy"
    cp "$dir/f.npy" "$dir/theirs.npy"
    run 0 features --quiet --model "$ours" --data synthetic:5x32x48 --out "$dir/f.npy"
    same "$dir/f.npy" "$dir/theirs.npy"
done
file "$dir/hf/config.json" "$dir/hf/preprocessor_config.json" "$dir/hf/model.safetensors"
end

case_ 'only what has a place there'
run 0 convert "$ours" "$dir/timm.safetensors" --to timm
out 'decoder is left out'
run 0 info "$dir/timm.safetensors"
out '^  norm.weight'
grep -q '^  \(mask_token\|decoder_\).* F32 ' "$dir/out" && wrong 'the decoder is in a file for timm'
run 1 reconstruct --model "$dir/timm.safetensors" --out "$dir/x.png" "$picture"
err 'no decoder'
end

case_ 'classifiers'
run 0 finetune $sets --init "$dir/hf" --out "$dir/mean" $short
run 0 probe $sets --init "$dir/official.pth" --out "$dir/probe" $short
run 1 convert "$dir/mean/last.safetensors" "$dir/x" --to hf
err 'mean of the patches'
run 0 convert "$dir/probe/last.safetensors" "$dir/probe.pth" --to timm --verify "$picture"
out 'batch norm is folded'
run 0 eval --quiet --model "$dir/probe.pth" --val synthetic:20x32x48 --json
mv "$dir/out" "$dir/a"
run 0 eval --quiet --model "$dir/probe/last.safetensors" --val synthetic:20x32x48 --json
[ "$(sed 's/.*"top1":\([^,]*\),.*/\1/' "$dir/a")" = "$(sed 's/.*"top1":\([^,]*\),.*/\1/' "$dir/out")" ] ||
    wrong 'the folded probe is another classifier'
end

case_ 'smaller weights'
for dtype in f16 bf16; do
    run 0 convert "$ours" "$dir/small.safetensors" --to official --dtype $dtype --verify "$picture"
    out '^rounding .*e-0[34] relative'
    out '^features '
done
usage '8-bit weights are for --to onnx only' convert "$ours" "$dir/x.pth" --to official --dtype i8
end

case_ 'onnx'
for part in encoder reconstruction; do
    for dtype in f32 i8; do
        run 0 convert "$ours" "$dir/$part-$dtype.onnx" --to onnx --part $part --dtype $dtype
        file "$dir/$part-$dtype.onnx"
    done
done
run 1 convert "$ours" "$dir/x.onnx" --to onnx --part classifier
run 0 convert "$dir/mean/last.safetensors" "$dir/c.onnx" --to onnx --batch 4
end

case_ 'files that are none'
printf '<!DOCTYPE html><html>' >"$dir/page.pth"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' >"$dir/lfs.pth"
printf '\200\002cos\nsystem\nq\000.' >"$dir/evil.pth"
: >"$dir/empty.pth"
for f in page lfs empty; do
    run 1 info "$dir/$f.pth"
    err "$f.pth"
    [ "$(wc -l <"$dir/err")" -eq 1 ] || wrong "$f.pth: not one line"
done
err 'empty'
run 0 info "$dir/evil.pth"
out 'os.system'
run 1 features --model "$dir/evil.pth" --data synthetic:5x32x48 --out "$dir/x.npy"
err 'no vision transformer is in it'
head -c 3000 "$dir/official.pth" >"$dir/cut.pth"
run 1 features --model "$dir/cut.pth" --data synthetic:5x32x48 --out "$dir/x.npy"
err 'cut.pth'
usage 'write: mae convert' convert "$ours"
run 1 convert "$dir/none" "$dir/x" --to hf
usage 'end in .safetensors' convert "$ours" "$dir/x.pth" --to mae
end

published=${0%/*}/../golden/data/checkpoint/checkpoint-3.pth
if [ -s "$published" ]; then
    case_ 'a published run goes on'
    as_published='--image-size 32 --patch 8 --embed-dim 24 --depth 2 --heads 2 --decoder-embed-dim 16
        --decoder-depth 2 --decoder-heads 4 --batch 2 --data synthetic:8x32x32 --epochs 6 --warmup-epochs 2'
    run 0 pretrain --init "$published" --continue $as_published --out "$dir/continued" --log-every 4
    err 'after 2 updates (epoch 4)'
    head -n 1 "$dir/continued/log.jsonl" | grep -q '"step":6,"epoch":5.0' ||
        wrong "the log begins with $(head -n 1 "$dir/continued/log.jsonl")"
    run 1 pretrain --init "$ours" --continue --batch 2 --data synthetic:8x32x48 --epochs 6 --out "$dir/x"
    usage 'embed-dim 24: .*last.safetensors has 32' pretrain --init "$ours" --continue $as_published --out "$dir/x"
    usage 'name the training checkpoint' pretrain --continue $as_published --out "$dir/x"
    end
else
    skip 'a published run goes on' 'there is no golden checkpoint'
fi

finish
