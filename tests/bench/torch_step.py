#!/usr/bin/env python3
"""The step of graphs/bench/{micro,tiny,small,base}.yaml in PyTorch: what cztc is held against.

    torch_step.py --config small --steps 5 [--dtype bfloat16] [--compile]    time it
    torch_step.py --config micro --set width=96 --dtype float64 --case DIR   record a case

A ViT and a causal text transformer, symmetric InfoNCE over the batch, and three dense experts on
the image tokens: segmentation (cross-entropy), depth (L1 after removing each map's shift and scale)
and surface normals (one minus cosine), each a linear head upsampled bilinearly. Then gradient
clipping to norm 1 and AdamW. Parameters carry the graphs' own paths, so that a file of weights
serves both sides. Needs torch alone. Prints one JSON line.

--case writes DIR/case.safetensors (initial parameters and inputs), DIR/grads.safetensors (of the
first step, before clipping), DIR/losses.json (of every step). --dump writes parameters and inputs
in two files, weights and batch, instead of one.
"""
import argparse
import json
import math
import pathlib
import resource
import statistics
import struct
import time

import torch
import torch.nn.functional as F

# The names are those of the graphs' `let:`.
SIZES = ("size patch width layers heads context vocab text_width text_layers text_heads "
         "embed lab classes batch").split()
CONFIGS = {
    "micro": (64, 8, 192, 2, 3, 32, 512, 128, 2, 4, 128, 32, 21, 4),
    "tiny": (64, 8, 192, 6, 3, 32, 49408, 128, 4, 4, 128, 32, 21, 64),
    "small": (224, 16, 384, 12, 6, 77, 49408, 256, 6, 4, 256, 56, 21, 16),
    "base": (224, 16, 768, 12, 12, 77, 49408, 512, 12, 8, 512, 56, 134, 256),
}
IGNORED = 255
INPUTS = ("image", "text", "seg", "depth", "normal")


def parameters(c, gen):
    """Path -> initial value. A pair of shape and standard deviation; None: ones; 0: zeros."""
    rows = {
        "patch.weight": ((c.width, 3, c.patch, c.patch), (3 * c.patch**2) ** -0.5),
        "cls": ((c.width,), c.width**-0.5),
        "pos": (((c.size // c.patch) ** 2 + 1, c.width), c.width**-0.5),
        "token.weight": ((c.vocab, c.text_width), 0.02),
        "tpos": ((c.context, c.text_width), 0.01),
        "embed_image.weight": ((c.embed, c.width), c.width**-0.5),
        "embed_text.weight": ((c.embed, c.text_width), c.text_width**-0.5),
    }

    def linear(path, out, into):
        rows[path + ".weight"] = ((out, into), into**-0.5)
        rows[path + ".bias"] = ((out,), 0.02)

    def norm(path, width):
        rows[path + ".weight"], rows[path + ".bias"] = ((width,), None), ((width,), 0)

    for stem, layers, width in (("blocks", c.layers, c.width), ("tblocks", c.text_layers, c.text_width)):
        for i in range(layers):
            at = f"{stem}.{i}."
            norm(at + "ln_1", width)
            norm(at + "ln_2", width)
            linear(at + "qkv", 3 * width, width)
            linear(at + "out", width, width)
            linear(at + "fc", 4 * width, width)
            linear(at + "proj", width, 4 * width)
    norm("ln_pre", c.width)
    norm("ln_post", c.width)
    norm("ln_final", c.text_width)
    for name, channels in (("seg", c.classes), ("depth", 1), ("normal", 3)):
        linear(name, channels, c.width)
    out = {}
    for path, (shape, std) in rows.items():
        out[path] = torch.ones(shape) if std is None else torch.randn(shape, generator=gen) * std
    out["scale"] = torch.tensor(math.log(1 / 0.07))
    return out


def inputs(c, n, gen):
    text = torch.randint(1, c.vocab - 2, (n, c.context), generator=gen)
    text[:, c.context // 2] = c.vocab - 1  # the end token: the largest, where the tower is read
    text[:, c.context // 2 + 1:] = 0
    label = (n, 1, c.lab, c.lab)
    return (torch.randn(n, 3, c.size, c.size, generator=gen), text,
            torch.randint(0, c.classes, (n, c.lab, c.lab), generator=gen),
            torch.rand(label, generator=gen),
            F.normalize(torch.randn(n, 3, c.lab, c.lab, generator=gen), dim=1))


def tower(p, x, stem, layers, heads, causal):
    """Pre-norm blocks with fused qkv and exact GELU. x (B, N, D)."""
    b, n, d = x.shape
    for i in range(layers):
        def linear(y, name):
            return F.linear(y, p[f"{stem}.{i}.{name}.weight"], p[f"{stem}.{i}.{name}.bias"])

        def norm(y, name):
            at = f"{stem}.{i}.{name}"
            return F.layer_norm(y, (d,), p[at + ".weight"], p[at + ".bias"])

        q, k, v = linear(norm(x, "ln_1"), "qkv").view(b, n, 3, heads, d // heads).unbind(2)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                           is_causal=causal)
        x = x + linear(y.transpose(1, 2).reshape(b, n, d), "out")
        x = x + linear(F.gelu(linear(norm(x, "ln_2"), "fc")), "proj")
    return x


def wide(x):
    """Losses are computed in f32 at least."""
    return x if x.dtype == torch.float64 else x.float()


def centred(x):
    """Each map less its mean, over its mean absolute deviation. x (B, ...)."""
    x = x.flatten(1)
    x = x - x.mean(1, keepdim=True)
    return x / x.abs().mean(1, keepdim=True).clamp_min(1e-6)


def losses(c, p, image, text, seg, depth, normal):
    def norm(y, name):
        return F.layer_norm(y, y.shape[-1:], p[name + ".weight"], p[name + ".bias"])

    x = F.conv2d(image, p["patch.weight"], stride=c.patch).flatten(2).transpose(1, 2)
    x = torch.cat([p["cls"].to(x.dtype).expand(len(x), 1, -1), x], 1) + p["pos"].to(x.dtype)
    x = norm(tower(p, norm(x, "ln_pre"), "blocks", c.layers, c.heads, False), "ln_post")
    t = F.embedding(text, p["token.weight"]) + p["tpos"]
    t = norm(tower(p, t, "tblocks", c.text_layers, c.text_heads, True), "ln_final")
    t = t[torch.arange(len(t), device=t.device), text.argmax(1)]
    a = F.normalize(wide(F.linear(x[:, 0], p["embed_image.weight"])), dim=1)
    b = F.normalize(wide(F.linear(t, p["embed_text.weight"])), dim=1)
    logits = p["scale"].exp() * (a @ b.T)
    pairs = torch.arange(len(a), device=a.device)
    clip = (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2

    def dense(name):
        y = F.linear(x[:, 1:], p[name + ".weight"], p[name + ".bias"]).transpose(1, 2)
        y = wide(y.unflatten(2, (c.size // c.patch, c.size // c.patch)))
        return F.interpolate(y, size=(c.lab, c.lab), mode="bilinear", align_corners=False)

    return (clip + F.cross_entropy(dense("seg"), seg, ignore_index=IGNORED)
            + (centred(dense("depth")) - centred(depth)).abs().mean()
            + (1 - F.cosine_similarity(dense("normal"), normal, dim=1)).mean())


def write_safetensors(path, tensors):
    """u64 size of the JSON header, the header, the data."""
    kinds = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
    head, data, at = {}, [], 0
    for name, x in sorted(tensors.items(), key=lambda row: -row[1].element_size()):
        data.append(bytes(x.detach().cpu().contiguous().flatten().view(torch.uint8).tolist()))
        head[name] = {"dtype": kinds[x.dtype], "shape": list(x.shape),
                      "data_offsets": [at, at + len(data[-1])]}
        at += len(data[-1])
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))


def arguments():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--config", choices=CONFIGS, default="small")
    a.add_argument("--device", default="cpu")
    a.add_argument("--dtype", choices=["float64", "float32", "bfloat16"], default="float32")
    a.add_argument("--batch", type=int)
    a.add_argument("--steps", type=int, default=5, help="timed ones; two come before")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--compile", nargs="?", const="default", help="torch.compile, with this mode")
    a.add_argument("--set", action="append", default=[], metavar="SIZE=N")
    a.add_argument("--case", type=pathlib.Path)
    a.add_argument("--dump", type=pathlib.Path)
    a.add_argument("--seed", type=int, default=0)
    return a.parse_args()


def record(folder, joined, params, batch):
    folder.mkdir(parents=True, exist_ok=True)
    batch = dict(zip(INPUTS, batch))
    if joined:
        return write_safetensors(folder / "case.safetensors", params | batch)
    write_safetensors(folder / "weights.safetensors", params)
    write_safetensors(folder / "batch.safetensors", batch)


def main():
    o = arguments()
    c = argparse.Namespace(**dict(zip(SIZES, CONFIGS[o.config])))
    for name, value in (row.split("=") for row in o.set):
        assert name in SIZES, name
        setattr(c, name, int(value))
    n, folder, cuda = o.batch or c.batch, o.case or o.dump, o.device.startswith("cuda")
    torch.set_num_threads(o.threads)
    gen = torch.Generator().manual_seed(o.seed)
    start = time.perf_counter()
    params, batch = parameters(c, gen), inputs(c, n, gen)
    if folder:
        record(folder, bool(o.case), params, batch)
    if o.dtype == "float64":
        params = {k: v.double() for k, v in params.items()}
        batch = tuple(x.double() if x.is_floating_point() else x for x in batch)
    params = {k: v.to(o.device).requires_grad_() for k, v in params.items()}
    batch = tuple(x.to(o.device) for x in batch)
    compute = torch.compile(losses, mode=o.compile) if o.compile else losses
    opt = torch.optim.AdamW(params.values(), lr=1e-4, betas=(0.9, 0.98), eps=1e-6,
                            weight_decay=0.2, fused=cuda or None)
    times, values = [], []
    for i in range(o.steps + 2):
        t = time.perf_counter()
        with torch.autocast(o.device.split(":")[0], torch.bfloat16, enabled=o.dtype == "bfloat16"):
            loss = compute(c, params, *batch)
        loss.backward()
        if folder and i == 0:
            write_safetensors(folder / "grads.safetensors",
                              {k: p.grad.float() for k, p in params.items()})
        torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        values.append(loss.item())
        times.append(time.perf_counter() - t)
        first = time.perf_counter() - start if i == 0 else first
    if folder:
        (folder / "losses.json").write_text(json.dumps(values) + "\n")
    step = statistics.median(times[2:] or times)
    peak = (torch.cuda.max_memory_allocated() if cuda else
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(json.dumps({"torch": torch.__version__, "config": o.config, "batch": n, "dtype": o.dtype,
                      "compile": o.compile, "first_step_s": round(first, 3),
                      "step_s": round(step, 5), "pairs_per_s": round(n / step, 2),
                      "peak_mib": round(peak / 2**20),
                      "params": sum(p.numel() for p in params.values()), "loss": values}))


if __name__ == "__main__":
    main()
