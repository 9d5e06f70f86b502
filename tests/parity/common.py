"""What the scripts of whole methods share: transformers, schedules, a training loop and its record.

Each script beside this one trains a method of graphs/ at a small size in double precision and writes what it saw to a
safetensors file. Modules are named as the graphs' parameters are, so that a state_dict has their paths. Needs torch alone.
"""
import json
import math
import struct
import sys

import torch
import torch.nn.functional as F
from torch import nn

STEPS = 20
MEANS = {
    "clip": ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "half": ([0.5] * 3, [0.5] * 3),
}


def normalize(image, name):
    """Bytes (B, H, W, 3), or numbers of their range, to standard pixels (B, 3, H, W)."""
    mean, std = (torch.tensor(x, dtype=torch.float64).view(3, 1, 1) for x in MEANS[name])
    return (image.double().permute(0, 3, 1, 2) / 255 - mean) / std


class Block(nn.Module):
    def __init__(self, width, heads, causal=False):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        x = x + self.out(y.transpose(1, 2).reshape(b, n, d))
        return x + self.proj(F.gelu(self.fc(self.ln_2(x))))


class MapHead(nn.Module):
    """Attention of one learned query over all tokens, then a perceptron (Zhai et al. 2022)."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.probe = nn.Parameter(torch.empty(width))
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.ln, self.fc, self.proj = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, n, d = x.shape
        q = self.q(self.probe).expand(b, 1, d).view(b, 1, self.heads, -1).transpose(1, 2)
        k, v = self.kv(x).view(b, n, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, d))
        return y + self.proj(F.gelu(self.fc(self.ln(y))))


class Vit(nn.Module):
    """grid: (rows, columns) of the positions. Returns cls (B, D), tokens (B, N, D), grids (B, D, h, w) of each block's
    output and of the last norm's, and the embedding."""

    def __init__(self, width, layers, heads, embed, patch, grid, pool="cls", masked=False, registers=0):
        super().__init__()
        self.grid, self.registers = grid, registers
        self.cls = nn.Parameter(torch.empty(width))
        self.pos = nn.Parameter(torch.empty(grid[0] * grid[1] + 1, width))
        self.patch = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.embed_image = nn.Linear(width, embed, bias=False)
        self.pool_map = MapHead(width, heads) if pool == "map" else None
        if masked:
            self.mask_token = nn.Parameter(torch.empty(width))
        if registers:
            self.register = nn.Embedding(registers, width)

    def positions(self, h, w):
        if (h, w) == self.grid:
            return self.pos
        grid = self.pos[1:].T.reshape(1, -1, *self.grid)
        grid = F.interpolate(grid, size=(h, w), mode="bilinear", align_corners=False)
        return torch.cat([self.pos[:1], grid.flatten(2)[0].T])

    def forward(self, image, mask=None):
        x = self.patch(image)
        b, d, h, w = x.shape
        x = x.flatten(2).transpose(1, 2)
        if mask is not None:
            x = torch.where(mask[..., None], self.mask_token, x)
        x = torch.cat([self.cls.expand(b, 1, d), x], 1) + self.positions(h, w)
        if self.registers:
            x = torch.cat([x[:, :1], self.register.weight.expand(b, -1, d), x[:, 1:]], 1)
        x, maps, first = self.ln_pre(x), [], 1 + self.registers
        for block in self.blocks:
            x = block(x)
            maps.append(x[:, first:].transpose(1, 2).reshape(b, d, h, w))
        x = self.ln_post(x)
        pooled = self.pool_map(x[:, first:]) if self.pool_map else x[:, 0]
        return {"cls": x[:, 0], "tokens": x[:, first:], "blocks": maps, "embedding": self.embed_image(pooled),
                "map": x[:, first:].transpose(1, 2).reshape(b, d, h, w)}


class Text(nn.Module):
    """The embedding is read at the end of the text, its largest token. Where it is not causal, nothing behind the end
    is seen."""

    def __init__(self, width, layers, heads, embed, vocab, length, causal=True):
        super().__init__()
        self.causal = causal
        self.token = nn.Embedding(vocab, width)
        self.tpos = nn.Parameter(torch.empty(length, width))
        self.tblocks = nn.ModuleList(Block(width, heads, causal) for _ in range(layers))
        self.ln_final = nn.LayerNorm(width)
        self.embed_text = nn.Linear(width, embed, bias=False)

    def forward(self, tokens):
        end = tokens.argmax(1)
        mask = None if self.causal else (torch.arange(tokens.shape[1]) <= end[:, None])[:, None, None, :]
        x = self.token(tokens.long()) + self.tpos
        for block in self.tblocks:
            x = block(x, mask)
        return self.embed_text(self.ln_final(x)[torch.arange(len(x)), end])


class Conv1x1(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(out, width)), nn.Parameter(torch.empty(out))

    def forward(self, x):
        return F.conv2d(x, self.weight[..., None, None], self.bias)


def group(**parts):
    """A module of named parts, where a name may be one of torch's own."""
    return nn.ModuleDict(parts)


def draw_parameters(model, seed):
    """Values that f32 holds, and that leave no parameter at a special place such as 0 or 1."""
    g = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters(), key=lambda named: ".register." in named[0]):
        x = torch.randn(p.shape, generator=g)
        if p.dim() > 1:
            x = x * (p[0].numel() ** -0.5 if "pos" not in name and "token" not in name else 0.5)
        else:
            x = (1 if ".ln" in name and name.endswith("weight") else 0) + 0.2 * x
        p.data = x.double()


def draw_texts(g, steps, batch, length, vocab):
    """Words, then the end, the largest token, then zeros."""
    texts = torch.randint(1, vocab - 1, (steps, batch, length), generator=g)
    ends = torch.randint(2, length, (steps, batch, 1), generator=g)
    at = torch.arange(length)
    return torch.where(at < ends, texts, torch.where(at == ends, vocab - 1, 0)).to(torch.int32)


def cosine(t, first, last, total):
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * min(max(t / total, 0), 1)))


def warmup_cosine(t, peak, warmup, total):
    return peak * (t + 1) / warmup if t < warmup else cosine(t - warmup, peak, 0, total - warmup)


def ramp(t, begin, end):
    return min(max((t - begin) / (end - begin), 0), 1)


def add_groups(optimizer, named, decay, bare=lambda name: False, scale=lambda name: 1):
    """The parameters by their decay (none for bare ones) and their share of the rate; the rate is set by set_rate."""
    groups = {}
    for name, p in named:
        groups.setdefault((0 if bare(name) else decay, scale(name)), []).append(p)
    for (wd, s), params in groups.items():
        optimizer.add_param_group({"params": params, "weight_decay": wd, "scale": s})


def set_rate(optimizer, lr):
    for g in optimizer.param_groups:
        g["lr"] = lr * g["scale"]


class Record:
    """Tensors init:PATH, input:NAME (steps, ..), or fewer batches that go round, loss:NAME (steps,), final:PATH."""

    def __init__(self):
        self.tensors, self.losses = {}, {}

    def state(self, kind, named):
        for name, t in named:
            self.tensors[f"{kind}:{name}"] = t.detach().clone()

    def inputs(self, inputs):
        self.tensors.update({f"input:{name}": t for name, t in inputs.items()})

    def step(self, **losses):
        for name, x in losses.items():
            self.losses.setdefault(name.replace("__", "."), []).append(x.item())

    def write(self, path):
        for name, values in self.losses.items():
            # a loss that begins with a phase is nothing before it
            values = [math.nan] * (STEPS - len(values)) + values
            self.tensors[f"loss:{name}"] = torch.tensor(values, dtype=torch.float64)
        header, data = {}, b""
        for name, t in self.tensors.items():
            t = t.float() if t.dtype == torch.float64 else t
            word = {torch.float32: "F32", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}[t.dtype]
            raw = bytes(t.contiguous().view(-1).view(torch.uint8).tolist())
            header[name] = {"dtype": word, "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text + data)
        for name, values in self.losses.items():
            print(name, *(f"{x:.5f}" for x in values), file=sys.stderr)
