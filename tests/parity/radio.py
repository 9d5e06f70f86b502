"""A RADIO-like method in PyTorch, trained for 20 steps: tests/graphs/parity_radio.yaml is held against it.

    python tests/parity/radio.py tests/data/parity/radio.safetensors

Three frozen teachers see one picture, each at its own size, and so does the student, whose heads say their summaries
(cosine) and their grids of features (cosine and smooth L1; Ranzinger et al. 2024), both whitened (PHI-S, the same authors).
A sample always keeps the teacher whose
loss is the largest, the others by chance, and what is kept has the weight of all (Sariyildiz et al. 2024).
"""
import sys

import torch
import torch.nn.functional as F
from torch import nn

from common import STEPS, Record, Vit, add_groups, draw_parameters, group, normalize, set_rate, warmup_cosine

BATCH, SIZE, WIDTH = 3, 32, 16
# name: size of its picture, its pixels, width, length of its summary
TEACHERS = {"siglip": (24, "half", 12, 12), "dino": (16, "imagenet", 8, 8), "sam": (32, "imagenet", 12, None)}


# Hadamard matrices, written out.
HADAMARD = {
    8: """++++++++
-+--+-++
-++--+-+
-+++--+-
--+++--+
-+-+++--
--+-+++-
---+-+++""",
    12: """++++++++++++
-+-+---+++-+
-++-+---+++-
--++-+---+++
-+-++-+---++
-++-++-+---+
-+++-++-+---
--+++-++-+--
---+++-++-+-
----+++-++-+
-+---+++-++-
--+---+++-++""",
}


class MlpHead(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.first, self.ln, self.second = nn.Linear(width, width), nn.LayerNorm(width), nn.Linear(width, out)

    def forward(self, x):
        return self.second(F.gelu(self.ln(self.first(x))))


def bilinear(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def picture(image, size, pixels):
    small = bilinear(image.double().permute(0, 3, 1, 2), (size, size))
    return normalize(small.permute(0, 2, 3, 1), pixels)


def build():
    teachers = group(siglip=Vit(12, 1, 2, 12, 8, (3, 3), pool="map"), dino=Vit(8, 1, 2, 4, 8, (2, 2)),
                     sam=Vit(12, 1, 2, 4, 8, (4, 4)))
    teachers.requires_grad_(False)
    summary = {name: MlpHead(WIDTH, t[3]) for name, t in TEACHERS.items() if t[3]}
    spatial = {name: MlpHead(WIDTH, t[2]) for name, t in TEACHERS.items()}
    return group(visual=Vit(WIDTH, 2, 2, 12, 8, (2, 2), registers=4), teachers=teachers,
                 experts=group(summary=group(**summary), spatial=group(**spatial)))


def said_by(model, image):
    """(kind, teacher): features (B, D) or (B, D, h, w)."""
    said = {}
    for name, (size, pixels, _, summary) in TEACHERS.items():
        with torch.no_grad():
            out = model["teachers"][name](picture(image, size, pixels))
        if summary:
            said["summary", name] = out["embedding" if name == "siglip" else "cls"]
        said["spatial", name] = out["map"]
    return said


def statistics(model, images):
    """(kind, teacher): mean, covariance, and what whitens, over all samples and places."""
    all_said, stats = [said_by(model, image) for image in images], {}
    for key in all_said[0]:
        rows = torch.cat([s[key].flatten(2).transpose(1, 2).flatten(0, 1) if s[key].dim() == 4 else s[key]
                          for s in all_said])
        mean = rows.mean(0).float().double()
        around = rows - rows.mean(0)
        covariance = (around.T @ around / len(rows)).float().double()
        values, vectors = torch.linalg.eigh(covariance)
        sizes = vectors.abs().sort(0, descending=True)
        if key == ("summary", "siglip"):  # which the graph computes too: no directions and no signs are near each other
            assert (values.diff() > 1e-4 * values[-1]).all() and (sizes.values[0] > 1.05 * sizes.values[1]).all()
        vectors = vectors * vectors.gather(0, sizes.indices[:1]).sign()
        d = len(mean)
        h = torch.tensor([[1.0 if c == "+" else -1.0 for c in row] for row in HADAMARD[d].split()]).double()
        assert (h @ h.T == d * torch.eye(d)).all()
        matrix = h / d ** 0.5 @ vectors.T / (values.sum() / d).sqrt()
        stats[key] = mean, covariance, matrix.float().double()
    return stats


def whiten(x, statistic):
    mean, _, matrix = statistic
    if x.dim() == 2:
        return (x - mean) @ matrix.T
    return torch.einsum("b d h w, e d -> b e h w", x - mean[:, None, None], matrix)


def distances(model, stats, image):
    """name: losses of each sample."""
    student, each = model["visual"](picture(image, 16, "clip")), {}
    for (kind, name), said in said_by(model, image).items():
        want = whiten(said, stats[kind, name])
        if kind == "summary":
            mine = model["experts"][kind][name](student["cls"])
            each[kind, name] = 1 - F.cosine_similarity(mine, want, dim=-1)
            continue
        mine = model["experts"][kind][name](student["tokens"])
        want = bilinear(want, student["map"].shape[2:]).flatten(2).transpose(1, 2)
        angle = 1 - F.cosine_similarity(mine, want, dim=-1).mean(1)
        each[kind, name] = 0.9 * angle + 0.1 * F.smooth_l1_loss(mine, want, reduction="none").mean((1, 2))
    return each


def with_dropping(each, lucky):
    """The mean over samples; lucky (B, teachers)."""
    loss = 0
    for sample in range(BATCH):
        by_teacher = torch.stack([sum(x[sample] for (_, t), x in each.items() if t == name) for name in TEACHERS])
        kept = lucky[sample].clone()
        kept[by_teacher.argmax()] = True
        loss = loss + len(TEACHERS) * by_teacher[kept].mean()
    return loss / BATCH


def main():
    model = build()
    draw_parameters(model, 5)
    g = torch.Generator().manual_seed(6)
    inputs = {"full": torch.randint(0, 256, (STEPS, BATCH, SIZE, SIZE, 3), generator=g).to(torch.uint8),
              "lucky": torch.rand(STEPS, BATCH, len(TEACHERS), generator=g) < 0.5}
    stats = statistics(model, inputs["full"])
    seen = stats["summary", "siglip"][1]
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    record = Record()
    record.state("init", model.named_parameters())
    for (kind, name), (mean, _, matrix) in stats.items():
        record.state("init", [(f"stats.phi.{name}.{kind}.mean", mean), (f"stats.phi.{name}.{kind}.matrix", matrix)])
    record.state("init", [("seen", seen)])
    optimizer = torch.optim.AdamW([{"params": [], "scale": 1}], betas=(0.9, 0.999), eps=1e-6)
    add_groups(optimizer, trained, 0.2)
    for step in range(STEPS):
        each = distances(model, stats, inputs["full"][step])
        loss = with_dropping(each, inputs["lucky"][step])
        optimizer.zero_grad()
        loss.backward()
        set_rate(optimizer, warmup_cosine(step, 2e-3, 4, STEPS))
        optimizer.step()
        turned = whiten(said_by(model, inputs["full"][step])["summary", "siglip"], stats["summary", "siglip"])
        record.step(loss=loss, turned=(turned - 1).abs().mean(), **{f"experts__{kind}__{name}": x.mean() for (kind, name), x in each.items()})
    record.state("final", trained + [("seen", seen)])
    record.inputs(inputs)
    record.write(sys.argv[1])


main()
