#!/usr/bin/env python3
"""One measurement of PyTorch, for comparison with `mae bench step` given the same options.

    peer_pytorch.py --task pretrain --model vit_base --batch 32 --threads 2 [--compile]

prints one JSON object with the keys of `mae bench step --json` that PyTorch has an answer to. What
runs are the models of transformers with random weights: ViTMAEForPreTraining (normalised pixels),
ViTForImageClassification with 1000 classes, ViTModel. A training step is forward, backward, fused
AdamW and zero_grad(set_to_none=True); attention is scaled_dot_product_attention; features are taken
under inference_mode. Images are normalised floats already; the gradient norm, mixing and stochastic
depth, which mae computes, are left out here, in PyTorch's favour.

bytes_imported is what is resident once the libraries are loaded: hundreds of MB in a build with
CUDA, so memory is to be compared with the CPU build.

--task loader is the counterpart of `mae bench data`: random crops with flips of the photos under
--data, as torchvision and PIL make them, in this process alone, so on one core.

Needs torch, transformers and torchvision: pip install torch transformers torchvision
(CPU build: pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu)
Exit status 2 when they are missing.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import time

# width, depth, heads, patch, decoder width, depth, heads
PRESETS = {
    "vit_tiny": (192, 12, 3, 16, 192, 4, 3),
    "vit_small": (384, 12, 6, 16, 256, 8, 8),
    "vit_base": (768, 12, 12, 16, 512, 8, 16),
    "vit_large": (1024, 24, 16, 16, 512, 8, 16),
    "vit_huge": (1280, 32, 16, 14, 512, 8, 16),
}
FIELDS = ("embed_dim", "depth", "heads", "patch",
          "decoder_embed_dim", "decoder_depth", "decoder_heads")
CLASSES = 1000


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--task", default="pretrain",
                   choices=("pretrain", "finetune", "features", "loader"))
    p.add_argument("--model", choices=sorted(PRESETS), default="vit_base")
    p.add_argument("--image-size", type=int, default=224)
    for name in FIELDS:
        p.add_argument("--" + name.replace("_", "-"), type=int)
    p.add_argument("--mask-ratio", type=float, default=0.75)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--threads", type=int, default=0, help="0: all processors of this process")
    p.add_argument("--repetitions", type=int, default=5)
    p.add_argument("--data", help="--task loader: a folder of images")
    p.add_argument("--warm-up", type=int, default=2, help="steps before the clock runs")
    p.add_argument("--compile", action="store_true", help="torch.compile the model")
    p.add_argument("--json", action="store_true", help="the only form there is")
    o = p.parse_args()
    if (o.task == "loader") != (o.data is not None):
        p.error("--task loader and --data DIR belong together")
    for name, value in zip(FIELDS, PRESETS[o.model]):
        if getattr(o, name) is None:
            setattr(o, name, value)
    if o.threads == 0:
        o.threads = len(os.sched_getaffinity(0))
    return o


def import_peers():
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    try:
        import torch
        import transformers
        import torchvision
    except ImportError as e:
        print(f"peer_pytorch.py: {e}; install what it needs with "
              "`pip install torch transformers torchvision`", file=sys.stderr)
        sys.exit(2)
    return torch, transformers, torchvision


def config(o, transformers):
    sizes = dict(image_size=o.image_size, patch_size=o.patch, hidden_size=o.embed_dim,
                 num_hidden_layers=o.depth, num_attention_heads=o.heads,
                 intermediate_size=4 * o.embed_dim)
    if o.task == "pretrain":
        c = transformers.ViTMAEConfig(
            **sizes, decoder_hidden_size=o.decoder_embed_dim,
            decoder_num_hidden_layers=o.decoder_depth, decoder_num_attention_heads=o.decoder_heads,
            decoder_intermediate_size=4 * o.decoder_embed_dim, mask_ratio=o.mask_ratio,
            norm_pix_loss=True)
    else:
        c = transformers.ViTConfig(**sizes, num_labels=CLASSES)
    c._attn_implementation = "sdpa"
    return c


def adamw(o, torch, model):
    """Vectors are not decayed, as in both published recipes."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [{"params": [p for p in trained if p.ndim > 1], "weight_decay": 0.05},
              {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0}]
    betas = (0.9, 0.95 if o.task == "pretrain" else 0.999)
    return torch.optim.AdamW(groups, lr=1e-6, betas=betas, fused=True)


def training_step(o, torch, transformers, images):
    c = config(o, transformers)
    if o.task == "pretrain":
        model = transformers.ViTMAEForPreTraining(c)
    else:
        model = transformers.ViTForImageClassification(c)
    model.train()
    optimizer = adamw(o, torch, model)
    targets = torch.softmax(torch.randn(o.batch, CLASSES), dim=-1)
    run = torch.compile(model, dynamic=False) if o.compile else model

    def step():
        if o.task == "pretrain":
            loss = run(images).loss
        else:
            loss = torch.nn.functional.cross_entropy(run(images).logits, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def features_step(o, torch, transformers, images):
    model = transformers.ViTModel(config(o, transformers), add_pooling_layer=False).eval()
    if o.compile:
        import torch._inductor.config as inductor

        inductor.freezing = True  # weights are constants: packed once
        model = torch.compile(model, dynamic=False)

    def step():
        with torch.inference_mode():
            model(images).last_hidden_state[:, 1:].mean(dim=1)

    return step


def loader_step(o, torch, torchvision):
    t = torchvision.transforms
    bicubic = t.InterpolationMode.BICUBIC
    crop = t.Compose([
        t.RandomResizedCrop(o.image_size, scale=(0.2, 1), interpolation=bicubic),
        t.RandomHorizontalFlip(), t.PILToTensor()])
    load = torchvision.datasets.folder.default_loader
    paths = sorted(p for p in pathlib.Path(o.data).rglob("*")
                   if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))

    class Photos(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths)

        def __getitem__(self, i):
            return crop(load(str(paths[i])))

    data = Photos()
    batches = iter(())

    def step():
        nonlocal batches
        try:
            next(batches)
        except StopIteration:
            batches = iter(torch.utils.data.DataLoader(data, o.batch, shuffle=True, drop_last=True))
            next(batches)

    return step


def resident(key):
    """Bytes of a line of /proc/self/status: VmRSS now, VmHWM at most."""
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    return 0


def main():
    o = parse()
    torch, transformers, torchvision = import_peers()
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    imported = resident("VmRSS")
    images = torch.randn(o.batch, 3, o.image_size, o.image_size)
    if o.task == "loader":
        step = loader_step(o, torch, torchvision)
    elif o.task == "features":
        step = features_step(o, torch, transformers, images)
    else:
        step = training_step(o, torch, transformers, images)
    for _ in range(o.warm_up):
        step()
    seconds = []
    for _ in range(o.repetitions):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({
        "program": f"pytorch {torch.__version__}" + (", compiled" if o.compile else ", eager"),
        "task": o.task,
        "model": f"{o.model} patch {o.patch}, {o.image_size}x{o.image_size}",
        "batch": o.batch, "threads": o.threads, "device": "cpu", "precision": "fp32",
        "steps": o.repetitions,
        "images_per_s_median": o.batch / statistics.median(seconds),
        "images_per_s_best": o.batch / min(seconds),
        "bytes_rss": resident("VmRSS"), "bytes_peak_rss": resident("VmHWM"),
        "bytes_imported": imported,
        "transformers": transformers.__version__,
    }))


if __name__ == "__main__":
    main()
