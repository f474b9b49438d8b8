#!/bin/sh
# tensors.sh PATH-OF-MAE: checkpoints of other tools that hold more, or something else, than this
# command reads. Two files lie in tests/fuzz/corpus/checkpoint; the others are made here, by exchanging
# names of the same length in the header of a file.
. "$(dirname "$0")/language.inc"

files=$(dirname "$0")/../fuzz/corpus/checkpoint
quiet='--quiet --threads 1 --workers 1'
mkdir "$dir/images"

# shellcheck disable=SC2046
run 0 pretrain $(tiny_model 8 4 8 3 2) --data synthetic:8x8x8 --out "$dir/run" --batch 4 --steps 1 $quiet
run 0 convert "$dir/run/last.safetensors" "$dir/plain.safetensors" --to official
picture=$(ls "$dir"/run/reconstructions/*.png | head -n 1)

# renamed FILE FROM TO: the plain file with other names
renamed() { LC_ALL=C sed "s/\"$2/\"$3/g" "$dir/plain.safetensors" >"$dir/$1.safetensors"; }

case_ 'every command refuses what it does not compute, and says what it is'
renamed distilled mask_token dist_token
says='DeiT: a distillation token is not supported (tensor dist_token'
f=$dir/distilled.safetensors
sets='--data synthetic:4x8x8 --val synthetic:4x8x8'
for line in "features --model $f --data synthetic:2 --out $dir/x.npy" "knn --model $f $sets" \
    "eval --model $f --val synthetic:4" "classify --model $f $picture" \
    "reconstruct --model $f --out $dir/x.png $picture" "convert $f $dir/x --to hf" \
    "finetune --init $f $sets --out $dir/x" "probe --init $f $sets --out $dir/x" \
    "plan finetune --init $f $sets" \
    "pretrain --init $f $(tiny_model 8 4 8 3 2) --data synthetic:8x8x8 --out $dir/y --batch 4 --steps 1"; do
    # shellcheck disable=SC2086
    run 1 $line
    err "$says"
done
run 0 info "$f"
out "^refused .*$says"
out '^tensors .*, refused 1, outside 0$'
out '^  dist_token .* refused: a distillation token is not supported'
run 0 info --json "$f"
out '"refused":"DeiT'
out '"use":"refused","why":"a distillation token is not supported"'
end

case_ 'a block is missing'
renamed hole blocks.1. blocks.7.
run 1 features --model "$dir/hole.safetensors" --data synthetic:2 --out "$dir/x.npy"
err 'block 1 is missing; there are tensors'
run 0 info "$dir/hole.safetensors"
out '^  blocks.7.norm1.weight .* refused'
end

case_ 'layer scale is announced, registers are refused'
run 1 features --heads 2 --model "$files/registers.safetensors" --data synthetic:2 --out "$dir/x.npy"
err 'DINOv2 with registers: register tokens are not supported'
LC_ALL=C sed 's/register_tokens/pooler.tokens_1/' "$files/registers.safetensors" >"$dir/scaled.safetensors"
run 0 features --heads 2 --model "$dir/scaled.safetensors" --data synthetic:2 --out "$dir/scaled.npy"
err 'layer scale is multiplied into attn.proj and mlp.fc2'
run 0 convert --heads 2 "$dir/scaled.safetensors" "$dir/folded.safetensors" --to mae
out 'layer scale is multiplied in'
out '2 tensors are left out .*pooler.tokens_1, a head that is not read'
run 0 features --model "$dir/folded.safetensors" --data synthetic:2 --out "$dir/folded.npy"
same "$dir/scaled.npy" "$dir/folded.npy"
end

case_ 'of two models the teacher is read, and --prefix chooses'
f=$files/student_teacher.safetensors
run 0 info --heads 2 "$f"
out '^prefix  *teacher.backbone.$'
out '^models  *teacher.backbone. (official)'
out '^  *student.backbone. (official)'
out '^tensors  *read 18, ignored 0, refused 0, outside 20'
for who in teacher student; do
    run 0 features --heads 2 --model "$f" --prefix $who --data synthetic:2 --out "$dir/$who.npy"
    err "it holds 2 models, of which $who.backbone. is read"
done
run 0 features --heads 2 --model "$f" --data synthetic:2 --out "$dir/first.npy"
err 'of which teacher.backbone. is read (--prefix chooses: teacher.backbone., student.backbone.)'
same "$dir/teacher.npy" "$dir/first.npy"
cmp -s "$dir/student.npy" "$dir/first.npy" && wrong 'the student is the teacher'
run 2 features --heads 2 --model "$f" --prefix pupil --data synthetic:2 --out "$dir/x.npy"
err '--prefix pupil: no model of .*; there are teacher.backbone., student.backbone.'
run 2 info --prefix pupil "$f"
run 2 info --prefix teacher "$dir/run/last.safetensors"
err 'holds one model'
end

case_ 'a prefix for training, which goes on without asking for it again'
# shellcheck disable=SC2086
run 0 finetune --init "$f" --prefix student --data synthetic:4x8x8 --val synthetic:4x8x8 --out "$dir/ft" \
    --heads 2 --batch 2 --epochs 2 --warmup-epochs 0 --steps 1 $quiet
# shellcheck disable=SC2086
run 0 finetune --init "$f" --prefix student --data synthetic:4x8x8 --val synthetic:4x8x8 --out "$dir/ft" \
    --heads 2 --batch 2 --epochs 2 --warmup-epochs 0 $quiet
end

finish tensors
