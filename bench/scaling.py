#!/usr/bin/env python3
"""scaling.py: one data-parallel update of many workers, simulated.

    scaling.py                          the tables of docs/SCALING.md
    scaling.py --svg FILE               its picture
    scaling.py --step [OPTIONS]         one case, as JSON; the options follow "one case" in --help
    scaling.py --validate STEPS SUMS    against bench/scaling.sh (STEPS) with the message times of
                                        bench/allreduce.c --json (SUMS; several runs may be joined)

The backward pass goes through the parameters from last to first, each taking its share of the
floating-point operations. Buckets and owners are cut as src/train/reducer.c does. The exchange of a
bucket is a list of rounds; a round waits for its network to be free, keeps it for bytes / bandwidth,
and ends a latency later. Rounds go on only when the program looks at them (it has no thread for
that): when a gradient is complete, and at the end all the time. Then come the optimizer, new weights
with shards, the exchange of losses, and the wait for the slowest worker. Times are in seconds.
"""
import argparse
import bisect
import collections
import heapq
import json
import math
import statistics
import struct
import sys

# --- models ---------------------------------------------------------------------------------------

Shape = collections.namedtuple("Shape", "image patch width depth decoder_width decoder_depth")
Param = collections.namedtuple("Param", "name numel flops")  # backward, of an image

MODELS = {"vit_tiny": Shape(224, 16, 192, 12, 192, 4), "vit_small": Shape(224, 16, 384, 12, 256, 8),
          "vit_base": Shape(224, 16, 768, 12, 512, 8), "vit_large": Shape(224, 16, 1024, 24, 512, 8),
          "vit_huge": Shape(224, 14, 1280, 32, 512, 8)}
FIXED = ("pos_embed", "decoder_pos_embed", "pca.weight", "pca.bias", "pca.mean")


def names(s):
    """(name, shape) of the trained parameters, from first to last, as in src/model/vit.c."""
    values = 3 * s.patch ** 2
    yield "cls_token", (s.width,)
    yield from linear("patch_embed.proj", s.width, values)
    for i in range(s.depth):
        yield from block(f"blocks.{i}.", s.width)
    yield from norm("norm", s.width)
    yield "mask_token", (s.decoder_width,)
    yield from linear("decoder_embed", s.decoder_width, s.width)
    for i in range(s.decoder_depth):
        yield from block(f"decoder_blocks.{i}.", s.decoder_width)
    yield from norm("decoder_norm", s.decoder_width)
    yield from linear("decoder_pred", values, s.decoder_width)


def linear(name, outputs, inputs):
    yield name + ".weight", (outputs, inputs)
    yield name + ".bias", (outputs,)


def norm(name, width):
    yield name + ".weight", (width,)
    yield name + ".bias", (width,)


def block(prefix, width):
    yield from norm(prefix + "norm1", width)
    yield from linear(prefix + "attn.qkv", 3 * width, width)
    yield from linear(prefix + "attn.proj", width, width)
    yield from norm(prefix + "norm2", width)
    yield from linear(prefix + "mlp.fc1", 4 * width, width)
    yield from linear(prefix + "mlp.fc2", width, 4 * width)


def read_header(path):
    """Shape and (name, shape) of a checkpoint of this project, in the order of the file."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    m = header.pop("__metadata__")
    depth = {p: len({n.split(".")[1] for n in header if n.startswith(p)})
             for p in ("blocks.", "decoder_blocks.")}
    s = Shape(int(m["image_height"]), int(m["patch"]), int(m["embed_dim"]), depth["blocks."],
              int(m["decoder_embed_dim"]), depth["decoder_blocks."])
    listed = sorted(header, key=lambda n: header[n]["data_offsets"])
    return s, [(n, header[n]["shape"]) for n in listed if n not in FIXED]


def parameters(s, listed=None):
    """Params from first to last; three quarters of the patches are hidden."""
    patches = (s.image // s.patch) ** 2
    kept = patches // 4
    last = f"decoder_blocks.{s.decoder_depth - 1}."

    def flops(name, shape):
        if not name.endswith(".weight") or len(shape) < 2:
            return 0
        inner = name.split(".")[-3:-1]
        decoder = name.startswith("decoder_blocks.")
        tokens = patches + 1 if decoder else kept + 1
        rows = tokens
        if name == "patch_embed.proj.weight":
            rows = kept / 2  # no gradient for pixels
        if name == "decoder_pred.weight" or (name.startswith(last) and inner != ["attn", "qkv"]):
            rows = patches - kept
        sums = 4 * math.prod(shape) * rows
        if inner == ["attn", "qkv"]:
            sums += 8 * tokens ** 2 * (s.decoder_width if decoder else s.width)
        return sums

    return [Param(n, math.prod(shape), flops(n, shape)) for n, shape in listed or names(s)]


def step_flops(params):
    """Forward and backward, an image. The forward pass is half of the backward pass, but for the
    patch embedding, where it is all of it."""
    stem = sum(p.flops for p in params if p.name.startswith("patch_embed"))
    return 1.5 * sum(p.flops for p in params) + 0.5 * stem


def trained(params):
    return sum(p.numel for p in params)


# --- buckets, as src/train/reducer.c --------------------------------------------------------------

LARGEST, MOST, ALIGN = 25 << 20, 200, 64
Bucket = collections.namedtuple("Bucket", "first last reals owner")  # indices of parameters


def buckets(params, workers, largest=LARGEST, most=MOST, slices=False):
    """From last to first. slices: parts of equal size with an owner each (a what-if)."""
    offset, total = [], 0
    for p in params:
        offset.append(total)
        total += (4 * p.numel + ALIGN - 1) // ALIGN * ALIGN
    limit = max(min(total // (workers * 4), largest), total // most)
    cut = []
    for i in reversed(range(len(params))):
        end = offset[i] + 4 * params[i].numel
        if not cut or offset[cut[-1][1]] + 4 * params[cut[-1][1]].numel - offset[i] > limit:
            cut.append([i, i, 0])
        cut[-1][0] = i
        last = cut[-1][1]
        cut[-1][2] = (offset[last] + 4 * params[last].numel - offset[i]) // 4
        assert end <= total
    load, out = [0] * workers, []
    for first, last, reals in cut:
        owner = load.index(min(load))
        load[owner] += reals
        out.append(Bucket(first, last, reals, owner))
    if slices:
        load = [trained(params) / workers] * workers
    return out, load


# --- networks and workers -------------------------------------------------------------------------

Level = collections.namedtuple("Level", "alpha bandwidth")  # seconds, bytes/s of a node or a worker
GIGABIT10 = Level(20e-6, 1.1e9)
GIGABIT100 = Level(3e-6, 11e9)
GIGABIT400 = Level(3e-6, 45e9)
INSIDE = Level(3e-6, 400e9)  # of eight GPUs in a node
NONE = Level(0.0, math.inf)
NETWORKS = {"10": GIGABIT10, "100": GIGABIT100, "400": GIGABIT400, "infinite": NONE}

# flops: {model: FLOP/s}; memory: bytes/s; update: bytes a parameter that the optimizer moves; floor:
# least seconds of a pass; node: workers that share a network card; add: bytes/s of sums; nap: seconds
# between looks while waiting, None where a processor of its own moves messages.
Worker = collections.namedtuple("Worker", "flops memory update floor node add nap wire")
IMAGE_GFLOP = {"vit_base": 57.283, "vit_large": 122.938, "vit_huge": 289.371}


def cpu(flops, memory):
    return Worker(dict.fromkeys(IMAGE_GFLOP, flops), memory, 36, 0.0, 1, 5e9, 1e-4, 4)


WORKERS = {"cores2": cpu(3.24 * 57.283e9, 50e9), "cores64": cpu(32 * 3.24 * 57.283e9, 400e9),
           "gpu": Worker({m: r * IMAGE_GFLOP[m] * 1e9 for m, r in
                          (("vit_base", 8450), ("vit_large", 4330), ("vit_huge", 1940))},
                         3.7e12, 30, 3.5e-3, 8, math.inf, None, 4)}
SIGMA = 0.01

# --- rounds: (level: 0 inside a node, 1 between; bytes; latencies; bytes summed) --------------------


def log2(n):
    return max(0, (n - 1).bit_length())


def binomial(n, p, g):
    """Up a tree to one worker and down again; one rank has the most to do."""
    up = [(0 if 1 << i < g else 1, n, 1, n) for i in range(log2(p))]
    return up + [(level, size, 1, 0) for level, size, _, _ in reversed(up)]


def ring(n, p, g):
    level = 1 if p > g else 0
    return [(level, n / p, 1, n / p)] * (p - 1) + [(level, n / p, 1, 0)] * (p - 1)


def halving(n, p, g):
    """Recursive halving, neighbours first, then doubling (Rabenseifner); workers of a node share
    its network card. Other counts than powers of two fold the rest in with two rounds more."""
    whole = 1 << (p.bit_length() - 1)
    down, i, size = [], 0, n
    while 1 << i < whole:
        size /= 2
        between = 1 << i >= g
        down.append((1 if between else 0, size * (min(g, p) if between else 1), 1, size))
        i += 1
    rounds = down + [(level, size, 1, 0) for level, size, _, _ in reversed(down)]
    fold = [(1 if p > g else 0, n, 1, n), (1 if p > g else 0, n, 1, 0)]
    return rounds if whole == p else fold[:1] + rounds + fold[1:]


def two_level(n, p, g):
    """A ring inside each node, rings of its parts between the nodes, a ring inside."""
    inner, nodes = min(g, p), -(-p // g)
    scatter = [(0, n / inner, 1, n / inner)] * (inner - 1)
    between = [(1, b * inner, h, s) for _, b, h, s in ring(n / inner, nodes, 1)]
    between = between if nodes > 1 else []
    return scatter + between + [(level, size, 1, 0) for level, size, _, _ in scatter]


ALGORITHMS = {"binomial": binomial, "ring": ring, "halving": halving, "two-level": two_level}


def reduce_to_owner(name, n, p, g):
    """Up only; with halving, the parts are gathered at the owner, which costs what
    doubling does."""
    rounds = ALGORITHMS[name](n, p, g)
    return rounds[:len(rounds) // 2] if name == "binomial" else rounds


# --- the event simulation -------------------------------------------------------------------------


def exchange(ready, rounds, levels, add=math.inf, looks=None, end=0.0, nap=0.0):
    """When all buckets are exchanged. ready[k]: when bucket k is complete; looks: times at which the
    program lets rounds go on before `end` (None: always), after it every nap."""
    def seen(t):
        if looks is None:
            return t
        i = bisect.bisect_left(looks, t)
        return looks[i] if i < len(looks) else max(t, end) + nap / 2

    free, finish = [0.0] * len(levels), 0.0
    waiting = [(t, k, 0) for k, t in enumerate(ready) if rounds[k]]
    heapq.heapify(waiting)
    while waiting:
        t, k, i = heapq.heappop(waiting)
        level, size, latencies, summed = rounds[k][i]
        free[level] = max(t, free[level]) + size / levels[level].bandwidth
        t = seen(free[level] + latencies * levels[level].alpha + summed / add)
        if i + 1 < len(rounds[k]):
            heapq.heappush(waiting, (t, k, i + 1))
        finish = max(finish, t)
    return finish


def expected_maximum(n):
    """Of n draws from a normal distribution, in standard deviations."""
    total, h = 0.0, 0.01
    for i in range(-800, 801):
        x = i * h
        below = 0.5 * math.erfc(-x / math.sqrt(2))
        total += h * x * n * math.exp(-x * x / 2) / math.sqrt(2 * math.pi) * below ** (n - 1)
    return total


def completions(params, cut, seconds):
    """When each bucket is complete, and every time at which a gradient is: those of an op together,
    that is, of neighbours with the same name but for its last part."""
    whole, done, at, times = sum(p.flops for p in params), 0.0, [0.0] * len(params), []
    i = len(params) - 1
    while i >= 0:
        op, j = params[i].name.rpartition(".")[0], i
        while op and j > 0 and params[j - 1].name.rpartition(".")[0] == op:
            j -= 1
        done += sum(p.flops for p in params[j:i + 1])
        for k in range(j, i + 1):
            at[k] = seconds * done / whole
        times.append(at[i])
        i = j - 1
    return [at[b.first] for b in cut], times


Case = collections.namedtuple("Case", "params flops worker levels workers batch accumulate algorithm "
                              "shard sigma slices overlap_weights progress wire largest most rounds")


def case(model, worker="cores64", network="100", workers=8, batch=64, accumulate=1,
         algorithm="binomial", shard=False, sigma=SIGMA, slices=False, overlap_weights=False,
         progress=None, wire=None, largest=LARGEST, most=MOST, rounds=None, flops=None):
    if isinstance(model, str):
        params = parameters(MODELS[model]) if model in MODELS else parameters(*read_header(model))
    else:
        params = model
    w = WORKERS[worker] if isinstance(worker, str) else worker
    outside = NETWORKS[network] if isinstance(network, str) else network
    inside = NONE if outside is NONE else INSIDE
    return Case(params, flops or w.flops.get(model, w.flops["vit_base"]), w, (inside, outside), workers,
                batch, accumulate, algorithm, shard, sigma, slices, overlap_weights,
                w.nap is None if progress is None else progress, wire or w.wire, largest, most, rounds)


def weights_back(c, cut, forward):
    """The new weights of every owner to all: a chain through all workers, in parts of 32 KiB; or, of
    slices, the second half of a ring. What the next forward pass can hide is taken off."""
    p, level = c.workers, c.levels[1 if c.workers > c.worker.node else 0]
    size = trained(c.params) * c.wire / level.bandwidth
    hop = level.alpha + (32768 / level.bandwidth) + (0 if c.progress else c.worker.nap / 2)
    chain = size + (p - 2) * hop + len(cut) * level.alpha
    if c.slices:
        halves = ALGORITHMS["two-level"](trained(c.params) * c.wire, p, c.worker.node)
        chain = exchange([0.0], [halves[len(halves) // 2:]], c.levels)
    return max(0.0, chain - forward) if c.overlap_weights else chain


def simulate(c):
    """{part: seconds} of an update, and what it is of that of one worker."""
    w, p, count = c.worker, c.workers, trained(c.params)
    one_pass = max(c.batch * step_flops(c.params) / c.flops, w.floor)
    forward, backward = one_pass / 3, one_pass * 2 / 3
    compute = one_pass * c.accumulate
    optimizer = count * w.update / w.memory
    out = {"compute": compute, "exposed": 0.0, "optimizer": optimizer, "weights": 0.0, "losses": 0.0,
           "wait": 0.0, "buckets": 1, "balance": 1.0}
    alone = compute + optimizer
    if p > 1:
        cut, load = buckets(c.params, p, c.largest, c.most, c.slices)
        ready, looks = completions(c.params, cut, backward)
        ways = c.rounds or (reduce_to_owner if c.shard and not c.slices else
                            lambda name, n, p, g: ALGORITHMS[name](n, p, g))
        rounds = [ways(c.algorithm, b.reals * c.wire, p, w.node) for b in cut]
        if c.shard and c.slices:  # reduce-scatter: the first half of the rounds
            rounds = [r[:len(r) // 2] for r in rounds]
        end = exchange(ready, rounds, c.levels, w.add, None if c.progress else looks, backward,
                       w.nap or 0)
        out["exposed"] = max(0.0, end - backward)
        out["buckets"], out["balance"] = len(cut), max(load) / (sum(load) / p)
        if c.shard:  # every gradient is zeroed, the rest is the owner's
            rest = count * 4 / w.memory
            out["optimizer"] = rest + max(load) * (w.update - 4) / w.memory
            out["weights"] = weights_back(c, cut, forward)
        small = binomial(40, p, w.node)
        out["losses"] = exchange([0.0], [small], c.levels, w.add, None if c.progress else [], 0.0,
                                 2e-6) * (2 if c.shard else 1)
        out["wait"] = expected_maximum(p) * c.sigma * compute / math.sqrt(c.accumulate)
    out["step"] = sum(out[k] for k in
                      ("compute", "exposed", "optimizer", "weights", "losses", "wait"))
    out["efficiency"] = alone / out["step"]
    out["images_per_s"] = p * c.batch * c.accumulate / out["step"]
    return out


# --- tables ---------------------------------------------------------------------------------------

COUNTS = (8, 64, 512)
SHORT = {"vit_base": "ViT-B/16", "vit_large": "ViT-L/16", "vit_huge": "ViT-H/14"}


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(x) for x in row) + " |")
    print()


def percent(x):
    return f"{100 * x:.1f} %" if x < 0.1 else f"{100 * x:.0f} %"


def bend(**options):
    """The least power of two of workers that is less than 90 % efficient."""
    for i in range(1, 13):
        if simulate(case(workers=1 << i, **options))["efficiency"] < 0.9:
            return str(1 << i)
    return "> 4096"


def weak_table(worker, network, batch, **options):
    rows = []
    for model in SHORT:
        row = [SHORT[model]]
        for p in COUNTS:
            r = simulate(case(model, worker, network, p, batch, **options))
            lost = r["exposed"] + r["weights"] + r["losses"]
            row.append(f"{percent(r['efficiency'])} ({percent(lost / r['step'])})")
        rows.append(row + [bend(model=model, worker=worker, network=network, batch=batch, **options)])
    table(["", *(f"{p} workers" for p in COUNTS), "below 90 % from"], rows)


def strong(model, worker, network, workers, total=4096, most=512, **options):
    """Of one worker with the whole batch; micro-batches of at most `most` images."""
    accumulate = max(1, -(-total // (workers * most)))
    whole = simulate(case(model, worker, network, 1, most, total // most, **options))
    r = simulate(case(model, worker, network, workers, total // (workers * accumulate), accumulate,
                      **options))
    return r, whole["step"] / (workers * r["step"])


def strong_table(worker, network, **options):
    rows = []
    for model in SHORT:
        for shard in (False, True):
            row = [SHORT[model] + (", shards" if shard else "")]
            for p in COUNTS:
                r, e = strong(model, worker, network, p, shard=shard, **options)
                row.append(f"{percent(e)} ({1e3 * r['step']:.0f} ms)")
            rows.append(row)
    table(["4096 images an update", *(f"{p} workers" for p in COUNTS)], rows)


FIXES = [("as it is", {}), ("`--accumulate 4`", {"accumulate": 4}),
         ("halving and doubling", {"algorithm": "halving"}),
         ("ring", {"algorithm": "ring"}),
         ("halving, progress by a thread", {"algorithm": "halving", "progress": True}),
         ("halving, bf16 gradients on the wire", {"algorithm": "halving", "wire": 2}),
         ("`--shard-optimizer`, trees", {"shard": True}),
         ("`--shard-optimizer`, halving", {"shard": True, "algorithm": "halving"}),
         ("shards that are slices (reduce-scatter, all-gather)",
          {"shard": True, "algorithm": "ring", "slices": True}),
         ("the same, two levels, weights under the next forward pass",
          {"shard": True, "algorithm": "two-level", "slices": True, "overlap_weights": True}),
         ("the same, progress by a thread",
          {"shard": True, "algorithm": "two-level", "slices": True, "overlap_weights": True,
           "progress": True})]


def fixes_table(base, fixes):
    rows = []
    for name, change in fixes:
        r = simulate(case(**{**base, **change}))
        ms = [f"{1e3 * r[k]:.0f}" for k in ("exposed", "optimizer", "weights", "wait")]
        rows.append([name, percent(r["efficiency"]), *ms, f"{r['buckets']}, {r['balance']:.1f}"])
    table(["", "efficiency", "exposed ms", "optimizer ms", "weights ms", "wait ms",
           "buckets, largest share / mean"], rows)


def memory_table():
    rows = []
    for model, image_mb in (("vit_base", 83.4), ("vit_large", 132.8), ("vit_huge", 240.5)):
        params = parameters(MODELS[model])
        n = trained(params)
        row = [SHORT[model], f"{image_mb} MB", f"{16e-9 * n:.2f} GB"]
        for p in COUNTS:
            _, load = buckets(params, p)
            row.append(f"{1e-9 * (8 * n + 8 * max(load)):.2f} GB")
        rows.append(row)
    table(["float32", "activations an image", "weights, gradients, moments",
           *(f"shards, {p}" for p in COUNTS)], rows)


def files_table():
    rows = []
    for model in SHORT:
        size = 12 * trained(parameters(MODELS[model]))
        row = [SHORT[model], f"{1e-9 * size:.2f} GB"]
        row += [f"{size / disk:.1f} s" for disk in (0.2e9, 2e9)]
        row += [f"{size / 20e9:.2f} s", f"{size / NETWORKS['10'].bandwidth:.1f} s"]
        rows.append(row)
    table(["a checkpoint", "bytes", "writing at 0.2 GB/s", "at 2 GB/s", "copy for a thread at 20 GB/s",
           "gathering shards, 10 Gb/s"], rows)


def data_table():
    rows = []
    for what, rate in (("64 cores, ViT-B", 32 * 3.24), ("GPU, ViT-B", 8450), ("GPU, ViT-L", 4330),
                       ("GPU, ViT-H", 1940)):
        row = [what, f"{rate:.0f}", f"{rate / 885:.1f}"]
        row += [f"{p * rate * 110e3 / 1e9:.2f}" for p in COUNTS]
        rows.append(row)
    table(["a worker", "images/s", "cores for crops", *(f"GB/s, {p} workers" for p in COUNTS)], rows)


def all_tables():
    print("Weak scaling, nodes of 64 cores, 64 images a node, trees:\n")
    for net in ("10", "100"):
        print(f"{net} Gb/s\n")
        weak_table("cores64", net, 64)
    print("The same, halving, 10 Gb/s\n")
    weak_table("cores64", "10", 64, algorithm="halving")
    print("The same, `--accumulate 8`\n")
    weak_table("cores64", "10", 64, algorithm="halving", accumulate=8)
    print("Halving, 100 Gb/s\n")
    weak_table("cores64", "100", 64, algorithm="halving")
    print("Workers of 2 cores, 32 images, trees, 10 Gb/s\n")
    weak_table("cores2", "10", 32)
    for net in ("100", "400"):
        print(f"GPUs, 256 images each, {net} Gb/s a node of eight, two levels\n")
        weak_table("gpu", net, 256, algorithm="two-level")
    print("The same, bf16 gradients on the wire\n")
    weak_table("gpu", "400", 256, algorithm="two-level", wire=2)
    print("Strong scaling: nodes of 64 cores, halving, 100 Gb/s; GPUs, two levels, 400 Gb/s\n")
    strong_table("cores64", "100", algorithm="halving", most=64)
    strong_table("gpu", "400", algorithm="two-level")
    print("What would help: ViT-B, 512 nodes of 64 cores, 64 images, 10 Gb/s\n")
    fixes_table(dict(model="vit_base", worker="cores64", network="10", workers=512, batch=64), FIXES)
    print("ViT-L, 512 GPUs, 8 images each (4096), 400 Gb/s a node\n")
    gpu = [(n.replace("as it is", "trees"), {k: v for k, v in c.items() if k != "progress"})
           for n, c in FIXES if "thread" not in n]
    fixes_table(dict(model="vit_large", worker="gpu", network="400", workers=512, batch=8),
                gpu + [("the last, bf16 gradients and weights on the wire", {**gpu[-1][1], "wire": 2}),
                       ("the last, 64 images a GPU", {**gpu[-1][1], "wire": 2, "batch": 64})])
    memory_table()
    files_table()
    data_table()


# --- picture --------------------------------------------------------------------------------------

CURVES = [("64 cores, 10 Gb/s, trees (default)", "#c0392b", dict(worker="cores64", network="10")),
          ("64 cores, 10 Gb/s, halving", "#e08e2b",
           dict(worker="cores64", network="10", algorithm="halving")),
          ("64 cores, 100 Gb/s, trees", "#2c7fb8", dict(worker="cores64", network="100")),
          ("64 cores, 100 Gb/s, halving", "#41ab5d",
           dict(worker="cores64", network="100", algorithm="halving")),
          ("no network, only the wait", "#888888",
           dict(worker="cores64", network="infinite", algorithm="halving"))]


def svg(path):
    width, height, left, top, right, bottom = 720, 380, 60, 30, 700, 320

    def x(p):
        return left + (right - left) * math.log2(p) / 10

    def y(e):
        return bottom - (bottom - top) * e

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="{left}" y="18" font-size="14">Simulated efficiency of an update: ViT-B/16, '
             '64 images a worker</text>']
    for e in (0, 0.25, 0.5, 0.75, 0.9, 1):
        dash = ' stroke-dasharray="4 3"' if e == 0.9 else ""
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y(e):.1f}" y2="{y(e):.1f}" stroke="#ccc"'
                     f'{dash}/><text x="{left - 8}" y="{y(e) + 4:.1f}" text-anchor="end">'
                     f'{100 * e:.0f} %</text>')
    for i in range(11):
        parts.append(f'<text x="{x(1 << i):.1f}" y="{bottom + 18}" text-anchor="middle">{1 << i}</text>')
    parts.append(f'<text x="{(left + right) / 2}" y="{bottom + 38}" text-anchor="middle">workers</text>')
    for k, (name, color, options) in enumerate(CURVES):
        curve = [simulate(case("vit_base", workers=1 << i, **options)) for i in range(11)]
        points = " ".join(f"{x(1 << i):.1f},{y(r['efficiency']):.1f}" for i, r in enumerate(curve))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        at = bottom - 120 + 18 * k
        parts.append(f'<line x1="{left + 330}" x2="{left + 354}" y1="{at - 4}" y2="{at - 4}" '
                     f'stroke="{color}" stroke-width="2"/><text x="{left + 360}" y="{at}">{name}</text>')
    with open(path, "w") as f:
        f.write("\n".join(parts + ["</svg>", ""]))


# --- against what was measured --------------------------------------------------------------------


def message_seconds(path):
    """bytes -> least seconds of a sum in the background, between the sizes that were measured."""
    least = {}
    with open(path) as f:
        for line in f:
            m = json.loads(line)
            if m["kind"] == "background":
                least[m["bytes"]] = min(m["least_s"], least.get(m["bytes"], math.inf))
    sizes = sorted(least)

    def seconds(n):
        i = min(max(bisect.bisect_left(sizes, n), 1), len(sizes) - 1)
        a, b = sizes[i - 1], sizes[i]
        return max(least[a] + (least[b] - least[a]) * (n - a) / (b - a), least[sizes[0]])
    return seconds


def validate(steps, sums):
    """Two processes of one machine. Its processors do the copying, so that nothing is hidden; the
    compute is that of two processes at the same time that exchange nothing."""
    seconds, runs = message_seconds(sums), collections.defaultdict(list)
    with open(steps) as f:
        for line in f:
            m = json.loads(line)
            runs[m["model"], m["image"], m["patch"], m["batch"], m["kind"]] += m["step_s"]
    rows = []
    for (model, image, patch, batch, kind), one in sorted(runs.items()):
        apart, together = (runs[model, image, patch, batch, k] for k in ("apart", "together"))
        if kind != "one" or not apart or not together:
            continue
        params = parameters(MODELS[model]._replace(image=image, patch=patch))
        cut, _ = buckets(params, 2)
        exchanged = sum(seconds(4 * b.reals) for b in cut) + seconds(40)
        for pick, name in ((min, "least"), (statistics.median, "median")):
            times = [pick(one), pick(apart), pick(apart) + exchanged, pick(together)]
            rows.append([f"{model}, {image} px, batch {batch}, {name}",
                         f"{4e-6 * trained(params):.1f} MB, {len(cut)}",
                         *(f"{1e3 * t:.0f}" for t in times), f"{times[3] / times[2]:.2f}"])
    table(["update, ms", "gradients, buckets", "one process", "two apart", "two together, simulated",
           "measured", "measured / simulated"], rows)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    a.add_argument("--svg", metavar="FILE")
    a.add_argument("--validate", nargs=2, metavar=("STEPS", "SUMS"))
    a.add_argument("--step", action="store_true")
    one = a.add_argument_group("one case")
    one.add_argument("--model", default="vit_base", help="a name, or a checkpoint of this project")
    one.add_argument("--worker", default="cores64", choices=sorted(WORKERS))
    one.add_argument("--network", default="100", choices=sorted(NETWORKS), help="Gb/s of a node")
    for name, default in (("workers", 8), ("batch", 64), ("accumulate", 1)):
        one.add_argument("--" + name, type=int, default=default)
    one.add_argument("--algorithm", default="binomial", choices=sorted(ALGORITHMS))
    one.add_argument("--sigma", type=float, default=SIGMA, help="of a worker's time, as a share")
    one.add_argument("--wire", type=int, choices=(2, 4), help="bytes of a number in a message")
    one.add_argument("--shard", action="store_true")
    one.add_argument("--slices", action="store_true", help="shards of equal size")
    one.add_argument("--overlap-weights", action="store_true")
    one.add_argument("--progress", action="store_true", default=None, help="by a thread of its own")
    o = vars(a.parse_args())
    picture, measured, step = (o.pop(k) for k in ("svg", "validate", "step"))
    if min(o["workers"], o["batch"], o["accumulate"]) < 1:
        a.error("--workers, --batch and --accumulate must be at least 1")
    if picture:
        svg(picture)
    elif measured:
        validate(*measured)
    elif step:
        c = case(**o)
        print(json.dumps({**simulate(c), "parameters": trained(c.params),
                          "gflop_per_image": step_flops(c.params) * 1e-9}))
    else:
        all_tables()


if __name__ == "__main__":
    main()
