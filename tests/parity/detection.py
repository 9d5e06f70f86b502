"""CLIP with a detection expert in PyTorch, 20 steps: tests/graphs/parity_detection.yaml is held against it.

    python tests/parity/detection.py tests/data/parity/detection.safetensors

FCOS (Tian et al. 2019) on the image encoder's grids: at every place focal losses of the classes (Lin et al. 2017), at those
near a box's centre one minus its generalised iou (Rezatofighi et al. 2019), over the number of these in the whole batch.
"""
import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

from common import (STEPS, Conv1x1, Record, Text, Vit, add_groups, draw_parameters, draw_texts, group, normalize,
                    set_rate, warmup_cosine)

BATCH, SIZE, GRID, VOCAB, LENGTH, CLASSES, MOST, WIDTH, STORED = 4, 32, 4, 40, 8, 3, 4, 8, 10
STEP = SIZE / GRID  # from place to place, in pixels


class ConvBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.LayerNorm(WIDTH)

    def forward(self, x):
        return F.gelu(self.norm(self.conv(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class Fcos(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.fuse = group(cells=Conv1x1(inner, WIDTH))
        self.box_tower, self.class_tower = nn.ModuleList([ConvBlock()]), nn.ModuleList([ConvBlock()])
        self.box = Conv1x1(WIDTH, 4)
        self.add_module("class", Conv1x1(WIDTH, CLASSES))

    def forward(self, grids):
        """Boxes (B, places, 4) in pixels and logits (B, places, classes), which begin at about a hundredth."""
        x = self.fuse["cells"](torch.cat(grids, 1))
        said = self.box(self.box_tower[0](x)).flatten(2).transpose(1, 2)
        logits = getattr(self, "class")(self.class_tower[0](x)).flatten(2).transpose(1, 2) + math.log(0.01 / 0.99)
        centres, sizes = places() + said[..., :2] * STEP, STEP * said[..., 2:].clamp(-8, 8).exp()
        return torch.cat([centres - sizes / 2, centres + sizes / 2], -1), logits


def places():
    at = (torch.arange(GRID, dtype=torch.float64) + 0.5) * STEP
    return torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).reshape(-1, 2)


def draw(seed):
    g = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.rand(STORED, BATCH, *shape, generator=g)
    wide = 3 + 20 * rand(MOST, 2)
    low = rand(MOST, 2) * (SIZE - wide)
    valid = rand(MOST) < 0.6
    valid[1, 2] = False  # a picture with nothing in it
    return {"image": (256 * rand(SIZE, SIZE, 3)).to(torch.uint8), "text": draw_texts(g, STORED, BATCH, LENGTH, VOCAB),
            "boxes.xyxy": torch.cat([low, low + wide], -1) * valid[..., None], "boxes.valid": valid,
            "boxes.class": (CLASSES * rand(MOST)).to(torch.int32) * valid, "boxes.present": rand() < 0.85}


def owners(boxes):
    """Of each place the box that it tells, or -1: the smallest of those near whose centre it lies."""
    result = []
    for x, y in places().tolist():
        best, smallest = -1, math.inf
        for i, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
            near = [abs(at - (lo + hi) / 2) <= max(STEP / 2, min(1.5 * STEP, (hi - lo) / 2))
                    for at, lo, hi in ((x, x0, x1), (y, y0, y1))]
            area = (x1 - x0) * (y1 - y0)
            if all(near) and area < smallest:
                best, smallest = i, area
        result.append(best)
    return torch.tensor(result)


def generalized_iou(a, b):
    area = lambda x: (x[:, 2:] - x[:, :2]).clamp(min=0).prod(1)
    both = area(torch.cat([torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])], 1))
    hull = area(torch.cat([torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])], 1))
    either = area(a) + area(b) - both
    return both / either - (hull - either) / hull


def focal(logits, wanted, alpha=0.25, gamma=2):
    p = logits.sigmoid()
    right = torch.where(wanted, p, 1 - p)
    return (-torch.where(wanted, alpha, 1 - alpha) * (1 - right) ** gamma * right.log()).sum()


def detection_loss(said, logits, x):
    loss, positives = 0, 0
    for i in range(BATCH):
        if not x["boxes.present"][i]:  # nobody looked for boxes in this picture
            continue
        valid = x["boxes.valid"][i]
        boxes, classes = x["boxes.xyxy"][i][valid].double(), x["boxes.class"][i][valid].long()
        owner = owners(boxes)
        has = owner >= 0
        wanted = torch.zeros_like(logits[i], dtype=torch.bool)
        wanted[has, classes[owner[has]]] = True
        loss = loss + focal(logits[i], wanted) + (1 - generalized_iou(said[i][has], boxes[owner[has]])).sum()
        positives += int(has.sum())
    return loss / positives


def contrastive(a, b, log_scale):
    logits = log_scale.exp() * F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T
    own = torch.arange(len(a))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def main():
    model = group(visual=Vit(16, 2, 2, 12, 8, (GRID, GRID)), textual=Text(16, 2, 2, 12, VOCAB, LENGTH),
                  experts=group(det=group(head=Fcos(32))),
                  losses=group(pair=nn.ParameterDict({"scale": torch.zeros(())})))
    draw_parameters(model, 9)
    scale = model["losses"]["pair"]["scale"]
    scale.data.fill_(2.65625)
    inputs, record = draw(10), Record()
    record.state("init", model.named_parameters())
    optimizer = torch.optim.AdamW([{"params": [], "scale": 1}], betas=(0.9, 0.98), eps=1e-6)
    add_groups(optimizer, model.named_parameters(), 0.2,
               bare=lambda n: n.endswith(".bias") or "ln_" in n or n.endswith("scale"))
    for step in range(STEPS):
        x = {name: t[step % STORED] for name, t in inputs.items()}
        visual = model["visual"](normalize(x["image"], "clip"))
        each = {"pair": contrastive(visual["embedding"], model["textual"](x["text"]), scale),
                "experts__det": detection_loss(*model["experts"]["det"]["head"](visual["blocks"]), x)}
        loss = each["pair"] + each["experts__det"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_rate(optimizer, warmup_cosine(step, 2e-3, 5, STEPS))
        optimizer.step()
        record.step(loss=loss, **each)
    record.state("final", model.named_parameters())
    record.inputs(inputs)
    record.write(sys.argv[1])


main()
