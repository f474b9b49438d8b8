"""The Python side of check_interop.sh: makes small models with the command, converts them, runs them in
transformers, timm and onnxruntime, and the other way round. Prints a row a comparison."""
import json
import os
import subprocess
import sys

import numpy as np
import torch
from PIL import Image

MAE, WORK = sys.argv[1], sys.argv[2]
LIMIT = 1e-5
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
SIZE = ["--image-size", "32", "--patch", "8", "--embed-dim", "48", "--depth", "3", "--heads", "3"]
DECODER = ["--decoder-embed-dim", "32", "--decoder-depth", "2", "--decoder-heads", "4"]
rows, failed = [], 0


def path(*parts):
    return os.path.join(WORK, *parts)


def mae(*arguments):
    done = subprocess.run([MAE, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit("mae %s\n%s" % (" ".join(map(str, arguments)), done.stderr))
    return done.stdout


def row(what, ours, theirs, limit=LIMIT):
    global failed
    ours, theirs = np.asarray(ours, np.float64).ravel(), np.asarray(theirs, np.float64).ravel()
    if ours.shape != theirs.shape:
        error = float("inf")
    else:
        error = float(np.linalg.norm(ours - theirs) / max(np.linalg.norm(ours), 1e-30))
    ok = error <= limit
    failed += not ok
    rows.append((what, error, "" if ok else "  <-- above %g" % limit))
    print("%-72s %.1e%s" % rows[-1], flush=True)


def make_images():
    os.makedirs(path("images"))
    rng = np.random.default_rng(5)
    pixels = []
    for i in range(4):
        small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(small).resize((32, 32), Image.BICUBIC))
        Image.fromarray(image).save(path("images", "%d.png" % i))
        pixels.append(image)
    floats = (np.stack(pixels).astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(np.ascontiguousarray(floats.transpose(0, 3, 1, 2)))


def features(model, pool, *more):
    out = path("features.npy")
    mae("features", "--quiet", "--model", model, "--data", path("images"), "--out", out, "--pool", pool, *more)
    return np.load(out)


def probabilities(model):
    images = [path("images", "%d.png" % i) for i in range(4)]
    said = json.loads(mae("classify", "--model", model, "--top", 10, "--json", *images))["images"]
    table = np.zeros((4, 10))
    for i, image in enumerate(said):
        for c in image["classes"]:
            table[i, c["index"]] = c["probability"]
    return table


def loss(model, keep, image):
    return json.loads(mae("reconstruct", "--model", model, "--out", path("look.png"), "--json", "--keep",
                          ",".join(map(str, keep)), path("images", "%d.png" % image)))["loss"]


def make_models():
    sets = ["--data", "synthetic:64x32x32", "--val", "synthetic:20x32x32"]
    short = ["--batch", 16, "--steps", 12, "--epochs", 4, "--warmup-epochs", 0, "--threads", 2, "--quiet"]
    for target in ("pixel", "norm-pix"):
        mae("pretrain", *sets[:2], "--out", path(target), *SIZE, *DECODER, "--target", target, "--lr", "1e-2",
            *short)
    start = path("pixel", "last.safetensors")
    for pool in ("mean", "cls"):
        mae("finetune", *sets, "--init", start, "--pool", pool, "--out", path("ft-" + pool), "--lr", "1e-2", *short)
        mae("probe", *sets, "--init", start, "--pool", pool, "--out", path("probe-" + pool), "--lr", 4, *short)


def softmax(x):
    return torch.softmax(x.double(), -1).numpy()


# --- transformers -------------------------------------------------------------------------------


def noise_for(keep, patches):
    noise = torch.ones(1, patches)
    for k, i in enumerate(keep):
        noise[0, i] = 1e-3 * k
    return noise


def check_transformers(x):
    import transformers

    for names in ("v4", "v5"):
        for target in ("pixel", "norm-pix"):
            ours = path(target, "last.safetensors")
            mae("convert", ours, path("hf-" + target), "--to", "hf", "--hf-names", names)
            model, info = transformers.ViTMAEForPreTraining.from_pretrained(path("hf-" + target),
                                                                           output_loading_info=True)
            model.eval()
            left = [k for k in [*info["missing_keys"], *info["unexpected_keys"]] if "pos" not in k]
            what = "transformers ViTMAEForPreTraining, %s names, %s" % (names, target)
            if left:
                print(what, "keys not matched:", left[:4])
            keep = [3, 8, 9, 14]
            with torch.no_grad():
                y = model(x[:1], noise=noise_for(keep, 16))
                row(what + ": loss", [loss(ours, keep, 0)], [y.loss.item()])
                model.config.mask_ratio = model.vit.config.mask_ratio = 0.0
                model.vit.embeddings.config.mask_ratio = 0.0
                tokens = model.vit(x).last_hidden_state
            row(what + ": features", features(ours, "mean"), tokens[:, 1:].mean(1).numpy())
            row(what + ": cls", features(ours, "cls"), tokens[:, 0].numpy())
    mae("convert", path("pixel", "last.safetensors"), path("encoder.pth"), "--to", "timm")
    mae("convert", path("encoder.pth"), path("hf-encoder"), "--to", "hf", "--heads", 3)
    model = transformers.ViTModel.from_pretrained(path("hf-encoder"), add_pooling_layer=False).eval()
    with torch.no_grad():
        tokens = model(x).last_hidden_state
    row("transformers ViTModel: cls", features(path("pixel", "last.safetensors"), "cls"), tokens[:, 0].numpy())
    for kind in ("ft-cls", "probe-cls"):
        ours = path(kind, "last.safetensors")
        mae("convert", ours, path("hf-" + kind), "--to", "hf")
        model = transformers.ViTForImageClassification.from_pretrained(path("hf-" + kind)).eval()
        with torch.no_grad():
            row("transformers ViTForImageClassification, %s" % kind, probabilities(ours), softmax(model(x).logits))


def check_from_transformers(x):
    import transformers

    torch.manual_seed(1)
    config = transformers.ViTMAEConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=144, image_size=32,
        patch_size=8, decoder_hidden_size=32, decoder_num_hidden_layers=1, decoder_num_attention_heads=2,
        decoder_intermediate_size=96, norm_pix_loss=True, initializer_range=0.2)
    model = transformers.ViTMAEForPreTraining(config).eval()
    model.save_pretrained(path("their-mae"))
    keep = [0, 5, 10, 15]
    with torch.no_grad():
        theirs = model(x[:1], noise=noise_for(keep, 16)).loss.item()
    row("from transformers %s ViTMAEForPreTraining (saved by it): loss" % transformers.__version__,
        [loss(path("their-mae"), keep, 0)], [theirs])
    other = path("their-mae-other")
    os.makedirs(other)
    respell(path("their-mae"), other)
    row("the same in the other spelling: loss", [loss(other, keep, 0)], [theirs])
    labels = transformers.ViTConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, image_size=32,
        patch_size=8, num_labels=10, initializer_range=0.2)
    model = transformers.ViTForImageClassification(labels).eval()
    model.save_pretrained(path("their-vit"))
    with torch.no_grad():
        theirs = softmax(model(x).logits)
    with open(path("their-vit", "preprocessor_config.json"), "w") as f:
        json.dump({"image_mean": MEAN.tolist(), "image_std": STD.tolist()}, f)
    row("from transformers ViTForImageClassification", probabilities(path("their-vit")), theirs)


SPELLINGS = [(".encoder.layer.", ".layers."), ("attention.attention.query", "attention.q_proj"),
             ("attention.attention.key", "attention.k_proj"), ("attention.attention.value", "attention.v_proj"),
             ("attention.output.dense", "attention.o_proj"), ("intermediate.dense", "mlp.fc1"),
             ("output.dense", "mlp.fc2")]


def respell(source, target):
    from safetensors.torch import load_file, save_file

    tensors = load_file(os.path.join(source, "model.safetensors"))
    old = any("attention.attention.query" in name for name in tensors)
    renamed = {}
    for name, value in tensors.items():
        for a, b in SPELLINGS if old else [(b, a) for a, b in SPELLINGS]:
            if b == ".layers." and not old:
                continue
            if a in name:
                name = name.replace(a, b)
        renamed[name] = value
    save_file(renamed, os.path.join(target, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(source, "config.json")) as f, open(os.path.join(target, "config.json"), "w") as g:
        g.write(f.read())


# --- timm and PyTorch ---------------------------------------------------------------------------


def timm_model(**more):
    import timm

    return timm.create_model("vit_base_patch16_224", img_size=32, patch_size=8, embed_dim=48, depth=3, num_heads=3,
                             **more).eval()


def check_timm(x):
    ours = path("norm-pix", "last.safetensors")
    for ending in (".pth", ".safetensors"):
        mae("convert", ours, path("timm" + ending), "--to", "timm")
        model = timm_model(num_classes=0, checkpoint_path=path("timm" + ending))
        with torch.no_grad():
            tokens = model.forward_features(x).numpy()
        row("timm encoder %s: all tokens" % ending, features(ours, "all"), tokens)
    for kind, pool in (("ft-mean", "avg"), ("ft-cls", "token"), ("probe-mean", "avg"), ("probe-cls", "token")):
        ours = path(kind, "last.safetensors")
        mae("convert", ours, path("timm-head.pth"), "--to", "timm")
        model = timm_model(num_classes=10, global_pool=pool, checkpoint_path=path("timm-head.pth"))
        with torch.no_grad():
            row("timm classifier, %s" % kind, probabilities(ours), softmax(model(x)))


def check_from_timm(x):
    torch.manual_seed(2)
    for pool, kind in (("avg", "mean"), ("token", "cls")):
        model = timm_model(num_classes=10, global_pool=pool)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1 * torch.randn_like(p))
            theirs = softmax(model(x))
        for form in ("zip", "legacy"):
            file = path("from-timm-%s.pth" % form)
            torch.save({"state_dict": model.state_dict()}, file, _use_new_zipfile_serialization=form == "zip")
            mae("convert", file, path("from-timm.safetensors"), "--to", "mae", "--heads", 3)
            row("from timm, %s pooling, torch %s file" % (kind, form),
                probabilities(path("from-timm.safetensors")), theirs)


def check_official():
    from safetensors.torch import load_file

    ours = path("norm-pix", "last.safetensors")
    mae("convert", ours, path("official.pth"), "--to", "official")
    theirs = torch.load(path("official.pth"), map_location="cpu", weights_only=True)["model"]
    want = load_file(ours)
    same = sorted(want) == sorted(theirs) and all(torch.equal(want[k], theirs[k]) for k in want)
    row("torch.load of the official .pth: %d tensors, bytes" % len(want), [1], [1 if same else 0])


# --- ONNX ---------------------------------------------------------------------------------------


def session(file):
    import onnxruntime

    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def check_onnx(x):
    ours = path("norm-pix", "last.safetensors")
    for dtype, limit in (("f32", LIMIT), ("f16", 1e-2), ("bf16", 1e-1), ("i8", 1e-1)):
        mae("convert", ours, path("encoder.onnx"), "--to", "onnx", "--dtype", dtype)
        tokens = session(path("encoder.onnx")).run(["last_hidden_state"], {"pixel_values": x.numpy()})[0]
        row("onnxruntime encoder, %s weights" % dtype, features(ours, "all"), tokens, limit)
    for kind in ("ft-mean", "ft-cls", "probe-mean", "probe-cls"):
        mae("convert", path(kind, "last.safetensors"), path("classifier.onnx"), "--to", "onnx", "--batch", 4)
        logits = session(path("classifier.onnx")).run(["logits"], {"pixel_values": x.numpy()})[0]
        row("onnxruntime classifier, %s" % kind, probabilities(path(kind, "last.safetensors")),
            softmax(torch.from_numpy(logits)))
    keep = [1, 6, 11, 12]
    for target in ("pixel", "norm-pix"):
        ours = path(target, "last.safetensors")
        mae("convert", ours, path("mae.onnx"), "--to", "onnx", "--part", "reconstruction")
        feed = {"pixel_values": x[:1].numpy(), "noise": noise_for(keep, 16).numpy()}
        row("onnxruntime reconstruction, %s: loss" % target, [loss(ours, keep, 0)],
            session(path("mae.onnx")).run(["loss"], feed)[0])


def main():
    torch.set_num_threads(2)
    x = make_images()
    make_models()
    check_official()
    check_timm(x)
    check_from_timm(x)
    check_transformers(x)
    check_from_transformers(x)
    check_onnx(x)
    print("%d comparisons, %d failed" % (len(rows), failed))
    sys.exit(1 if failed else 0)


main()
