#!/usr/bin/env python3
"""trim_golden.py FROM TO: copies what the tests need of a folder of golden files, manifests trimmed to it.

The sources are the files that tests/golden reads; parts of later stages are left out. Of the cases of
resampling a few of each kind are taken."""
import fnmatch
import hashlib
import json
import os
import shutil
import struct
import sys

WANTED = ("weights/micro", "model_forward/micro4", "model_forward/micro8_images",
          "model_forward/micro8_np0_mr75", "model_backward/micro4", "model_backward/micro8_np0_mr75",
          "train_trajectory/", "pos_embed/sincos_d48",
          "pos_embed/interpolate", "masks/random", "masks/grid", "masks/len_keep",
          "augment/photos/", "augment/decode", "augment/crop", "augment/eval", "augment/color_jitter",
          "augment/rand", "augment/mixup", "real_size/", "finetune/head", "finetune/gp_ls",
          "finetune/gp_droppath", "finetune/cls", "finetune/lrd", "finetune/traj", "linprobe/",
          "checkpoint/checkpoint-3", "checkpoint/half", "checkpoint/hf_names", "checkpoint/hf_pytorch",
          "checkpoint/model.", "checkpoint/expected", "checkpoint/resume", "checkpoint/opt",
          "checkpoint/odd", "typed/resample", "typed/npy", "typed/files.json", "typed/hostile.json", "typed/files/npy_i16_be",
          "typed/files/npy_f64_fortran", "typed/files/npy_u8.", "typed/files/npy_f16.", "typed/files/npy_shape",
          "typed/files/npy_header_s", "typed/files/npy_version", "typed/files/npy_refuse", "typed/hostile/npy_shape_o",
          "typed/hostile/npy_key", "typed/hostile/npy_header_length", "typed/hostile/npy_d")

CASES = ("*.1x1.*", "*.48x1.*", "*.1x57.*", "u16.30x57.bicubic", "u16.64x20.bicubic", "f32.64x20.bicubic",
         "*.16x12.box10*", "*.24x24.box1_20*", "u16_noise.20x20.*", "f32_nan.*", "f32_wide_range.*")


def read_safetensors(path):
    """{name: (entry, bytes)}"""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    return {k: (v, data[v["data_offsets"][0]:v["data_offsets"][1]]) for k, v in header.items() if k != "__metadata__"}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, (entry, data) in tensors.items():
        header[name] = dict(entry, data_offsets=[at, at + len(data)])
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data for _, data in tensors.values()))


def trim_cases(path, entry):
    """Leaves CASES of a copied file PATH of resampling, its list of cases beside it, and its entry. Of a list of files, the
    WANTED ones."""
    if path.endswith(("/files.json", "/hostile.json")):
        with open(path, encoding="utf-8") as f:
            content = json.load(f)
        folder = "typed/" + os.path.basename(path)[:-len(".json")] + "/"
        content = {k: v for k, v in content.items() if (folder + k).startswith(WANTED)}
        with open(path, "w", encoding="utf-8") as f:
            json.dump(content, f, separators=(",", ":"))
    elif path.endswith(".json"):
        with open(path, encoding="utf-8") as f:
            content = json.load(f)
        content["cases"] = [c for c in content["cases"] if any(fnmatch.fnmatch(c["name"], k) for k in CASES)]
        with open(path, "w", encoding="utf-8") as f:
            json.dump(content, f, separators=(",", ":"))
    else:
        tensors = read_safetensors(path)
        taken = [n for n in tensors if any(fnmatch.fnmatch(n, k) or fnmatch.fnmatch(n, k + ".*") for k in CASES)]
        wanted = set(taken) | {n.split(".")[0] + ".in" for n in taken}
        write_safetensors(path, {k: v for k, v in tensors.items() if k in wanted})
        entry["tensors"] = {k: v for k, v in entry["tensors"].items() if k in wanted}
    with open(path, "rb") as f:
        data = f.read()
    entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def main(source, target):
    total = 0
    for name in sorted(os.listdir(os.path.join(source, "manifest"))):
        with open(os.path.join(source, "manifest", name), encoding="utf-8") as f:
            manifest = json.load(f)
        manifest["files"] = {k: v for k, v in manifest["files"].items() if k.startswith(WANTED)}
        for file, entry in manifest["files"].items():
            path = os.path.join(target, file)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copyfile(os.path.join(source, file), path)
            if file.startswith("typed/resample") or file in ("typed/files.json", "typed/hostile.json"):
                trim_cases(path, entry)
            total += os.path.getsize(path)
        if manifest["files"]:
            os.makedirs(os.path.join(target, "manifest"), exist_ok=True)
            with open(os.path.join(target, "manifest", name), "w", encoding="utf-8") as f:
                json.dump(manifest, f, separators=(",", ":"))
    print("%.2f MB" % (total / 1e6))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
