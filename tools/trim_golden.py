#!/usr/bin/env python3
"""trim_golden.py FROM TO: copies what the tests need of a folder of golden files, manifests trimmed to it.

The sources are the files that tests/golden reads; parts of later stages are left out."""
import json
import os
import shutil
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
          "checkpoint/odd")


def main(source, target):
    total = 0
    for name in sorted(os.listdir(os.path.join(source, "manifest"))):
        with open(os.path.join(source, "manifest", name), encoding="utf-8") as f:
            manifest = json.load(f)
        manifest["files"] = {k: v for k, v in manifest["files"].items() if k.startswith(WANTED)}
        for file in manifest["files"]:
            path = os.path.join(target, file)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copyfile(os.path.join(source, file), path)
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
