#!/bin/sh
# opaque.sh PATH-OF-MAE: training files of other programs, with objects and tensors in them that nobody
# here knows. They are values that nobody asks for; who needs one is told what it is. The files lie in
# tests/fuzz/corpus/tensorfile.
. "$(dirname "$0")/language.inc"

files=$(dirname "$0")/../fuzz/corpus/tensorfile
features="features --quiet --heads 2 --data synthetic:2 --threads 1 --workers 1"

case_ 'objects and odd tensors beside the weights change nothing'
run 0 $features --model "$files/plain.pth" --out "$dir/plain.npy"
for kind in corners corners_legacy; do
    run 0 $features --model "$files/$kind.pth" --out "$dir/$kind.npy"
    same "$dir/plain.npy" "$dir/$kind.npy"
done
end

case_ 'info shows what they are, and the plain settings in them'
run 0 info "$files/corners.pth"
out '^  args.model  *mae_vit_tiny'
out '^  meta.cfg.a  *1$'
out '^  meta.time  *an object of datetime.datetime'
out '^  rng  *uint16 \[4\]'
out '^  q  *_rebuild_qtensor \[2,2\]'
out '^  optimizer.state.0.exp_avg  *opaque \[4\]'
end

case_ 'a weight that cannot be read is an error that names it and its type'
weight='model.blocks.0.attn.proj.weight'
run 1 $features --model "$files/needed_uint16.pth" --out "$dir/x.npy"
err "tensor '$weight' has elements of type uint16"
run 1 $features --model "$files/needed_int8.pth" --out "$dir/x.npy"
err "tensor $weight has elements of type I8"
run 1 $features --model "$files/needed_object.pth" --out "$dir/x.npy"
err "tensor '$weight' comes out of an object of other.rows.Quantised at '$weight'"
run 1 $features --model "$files/in_object.pth" --out "$dir/x.npy"
err "comes out of an object of other.rows.StateDict at 'model'"
run 0 info "$files/in_object.pth"
out 'refused .*other.rows.StateDict'
end

finish opaque
