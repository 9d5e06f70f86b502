#!/usr/bin/env python3
"""The step of graphs/bench/rn50.yaml in PyTorch, channels last: what cztc's convolutions are held
against.

    torch_resnet.py --steps 5                                    time it
    torch_resnet.py --set size=64 --float64 --steps 3 --dump DIR record a case of 5 steps

--dump writes DIR/case.safetensors (initial parameters and inputs), DIR/grads.safetensors (of the
first step, before clipping), DIR/losses.json (of every step). That of tests/data/rn50 is of the
sizes that the graph's check: has.

torchvision's ResNet-50 (under the names of encoders/resnet), batch norm by the statistics of the
batch, and the text transformer of torch_step.py; InfoNCE, clipping to norm 1, AdamW. Needs torch
alone. Prints one JSON line.
"""
import argparse
import json
import math
import pathlib
import resource
import statistics
import time

import torch
import torch.nn.functional as F

from torch_step import tower, write_safetensors

SIZES = dict(batch=16, size=224, context=77, vocab=49408, text_width=256, text_layers=6,
             text_heads=4, embed=256, width=64, layers=(3, 4, 6, 3))


def blocks(c):
    """Path, input channels, width and stride of every block."""
    into = c.width
    for s, count in enumerate(c.layers):
        for i in range(count):
            yield f"visual.stages.{s}.blocks.{i}.", into, c.width << s, 2 if s and i == 0 else 1
            into = 4 * c.width << s


def parameters(c, gen):
    out = {}

    def normal(path, shape, std):
        out[path] = torch.randn(shape, generator=gen) * std

    def norm(path, width):
        out[path + ".weight"], out[path + ".bias"] = torch.ones(width), torch.zeros(width)

    def conv(path, width, into, size):
        normal(path + ".weight", (width, into, size, size), (2 / (width * size * size)) ** 0.5)

    conv("visual.conv1", c.width, 3, 7)
    norm("visual.bn1", c.width)
    for at, into, width, stride in blocks(c):
        conv(at + "conv1", width, into, 1)
        conv(at + "conv2", width, width, 3)
        conv(at + "conv3", 4 * width, width, 1)
        for i, n in (1, width), (2, width), (3, 4 * width):
            norm(f"{at}bn{i}", n)
        if into != 4 * width:
            conv(at + "downsample.conv", 4 * width, into, 1)
            norm(at + "downsample.bn", 4 * width)
    normal("visual.embed_image.weight", (c.embed, 4 * width), (4 * width) ** -0.5)
    w = c.text_width
    normal("textual.token.weight", (c.vocab, w), 0.02)
    normal("textual.tpos", (c.context, w), 0.01)
    for i in range(c.text_layers):
        at = f"textual.tblocks.{i}."
        norm(at + "ln_1", w)
        norm(at + "ln_2", w)
        for name, o, n in ("qkv", 3 * w, w), ("out", w, w), ("fc", 4 * w, w), ("proj", w, 4 * w):
            normal(at + name + ".weight", (o, n), n**-0.5)
            normal(at + name + ".bias", (o,), 0.02)
    norm("textual.ln_final", w)
    normal("textual.embed_text.weight", (c.embed, w), w**-0.5)
    out["scale"] = torch.tensor(math.log(1 / 0.07))
    return out


def resnet(c, p, x):
    def conv(y, path, stride=1, pad=0):
        return F.conv2d(y, p[path + ".weight"], stride=stride, padding=pad)

    def norm(y, path):
        return F.batch_norm(y, None, None, p[path + ".weight"], p[path + ".bias"], training=True)

    x = F.relu(norm(conv(x, "visual.conv1", 2, 3), "visual.bn1"))
    x = F.max_pool2d(x, 3, 2, 1)
    for at, into, width, stride in blocks(c):
        y = F.relu(norm(conv(x, at + "conv1"), at + "bn1"))
        y = F.relu(norm(conv(y, at + "conv2", stride, 1), at + "bn2"))
        y = norm(conv(y, at + "conv3"), at + "bn3")
        past = x
        if at + "downsample.conv.weight" in p:
            past = norm(conv(x, at + "downsample.conv", stride), at + "downsample.bn")
        x = F.relu(y + past)
    return F.linear(x.mean((2, 3)), p["visual.embed_image.weight"])


def loss_of(c, p, image, text):
    a = F.normalize(resnet(c, p, image), dim=1)
    t = F.embedding(text, p["textual.token.weight"]) + p["textual.tpos"]
    inside = {k.removeprefix("textual."): v for k, v in p.items()}
    t = tower(inside, t, "tblocks", c.text_layers, c.text_heads, True)
    t = t[torch.arange(len(t)), text.argmax(1)]
    t = F.layer_norm(t, t.shape[-1:], p["textual.ln_final.weight"], p["textual.ln_final.bias"])
    b = F.normalize(F.linear(t, p["textual.embed_text.weight"]), dim=1)
    logits = p["scale"].exp() * (a @ b.T)
    pairs = torch.arange(len(a))
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2


def arguments():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--steps", type=int, default=5, help="timed ones; two come before")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--set", action="append", default=[], metavar="SIZE=N", help="of layers: 3,4,6,3")
    a.add_argument("--dump", type=pathlib.Path)
    a.add_argument("--float64", action="store_true")
    return a.parse_args()


def main():
    o = arguments()
    c = argparse.Namespace(**SIZES)
    for name, value in (row.split("=") for row in o.set):
        assert name in SIZES, name
        numbers = tuple(int(n) for n in value.split(","))
        setattr(c, name, numbers if name == "layers" else numbers[0])
    torch.set_num_threads(o.threads)
    gen = torch.Generator().manual_seed(0)
    params = parameters(c, gen)
    image = torch.randn(c.batch, c.size, c.size, 3, generator=gen)
    text = torch.randint(1, c.vocab - 2, (c.batch, c.context), generator=gen)
    text[:, c.context // 2] = c.vocab - 1
    if o.dump:
        o.dump.mkdir(parents=True, exist_ok=True)
        running = {}  # what batch norm keeps; a step reads none of it
        for name, x in params.items():
            if ".bn" in name and name.endswith(".bias"):
                running[name[:-4] + "running_mean"] = torch.zeros_like(x)
                running[name[:-4] + "running_var"] = torch.ones_like(x)
        write_safetensors(o.dump / "case.safetensors",
                          params | running | {"image": image, "text": text})
    to = torch.float64 if o.float64 else torch.float32
    params = {k: v.to(to).contiguous(memory_format=torch.channels_last if v.dim() == 4
                                     else torch.contiguous_format).requires_grad_()
              for k, v in params.items()}
    image = image.to(to).permute(0, 3, 1, 2)  # channels last in memory, as it was made
    opt = torch.optim.AdamW(params.values(), lr=1e-4, betas=(0.9, 0.98), eps=1e-6,
                            weight_decay=0.2)
    times, values = [], []
    for i in range(o.steps + 2):
        t, cpu = time.perf_counter(), time.process_time()
        loss = loss_of(c, params, image, text)
        loss.backward()
        if o.dump and i == 0:
            write_safetensors(o.dump / "grads.safetensors",
                              {k: p.grad.float() for k, p in params.items()})
        torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        values.append(loss.item())
        times.append((time.perf_counter() - t, time.process_time() - cpu))
    if o.dump:
        (o.dump / "losses.json").write_text(json.dumps(values) + "\n")
    times = times[2:] or times
    print(json.dumps({"torch": torch.__version__, "batch": c.batch,
                      "step_s": round(statistics.median(t for t, _ in times), 4),
                      "cpu_s": round(statistics.median(t for _, t in times), 4),
                      "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                      "params": sum(p.numel() for p in params.values()), "loss": values}))


if __name__ == "__main__":
    main()
