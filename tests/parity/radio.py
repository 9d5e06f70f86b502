"""A RADIO-like method in PyTorch, trained for 20 steps: tests/graphs/parity_radio.yaml is held against it.

    python tests/parity/radio.py tests/data/parity/radio.safetensors

Three frozen teachers see one picture, each at its own size, and so does the student, whose heads say their summaries
(cosine) and their grids of features (cosine and smooth L1; Ranzinger et al. 2024). A sample always keeps the teacher whose
loss is the largest, the others by chance, and what is kept has the weight of all (Sariyildiz et al. 2024).
"""
import sys

import torch
import torch.nn.functional as F
from torch import nn

from common import STEPS, Record, Vit, add_groups, draw_parameters, group, normalize, set_rate, warmup_cosine

BATCH, SIZE, WIDTH = 3, 32, 16
# name: size of its picture, its pixels, width, length of its summary
TEACHERS = {"siglip": (24, "half", 12, 10), "dino": (16, "imagenet", 8, 8), "sam": (32, "imagenet", 12, None)}


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
    teachers = group(siglip=Vit(12, 1, 2, 10, 8, (3, 3), pool="map"), dino=Vit(8, 1, 2, 4, 8, (2, 2)),
                     sam=Vit(12, 1, 2, 4, 8, (4, 4)))
    teachers.requires_grad_(False)
    summary = {name: MlpHead(WIDTH, t[3]) for name, t in TEACHERS.items() if t[3]}
    spatial = {name: MlpHead(WIDTH, t[2]) for name, t in TEACHERS.items()}
    return group(visual=Vit(WIDTH, 2, 2, 12, 8, (2, 2)), teachers=teachers,
                 experts=group(summary=group(**summary), spatial=group(**spatial)))


def distances(model, image):
    """name: losses of each sample."""
    student, each = model["visual"](picture(image, 16, "clip")), {}
    for name, (size, pixels, _, _) in TEACHERS.items():
        with torch.no_grad():
            said = model["teachers"][name](picture(image, size, pixels))
        if name in model["experts"]["summary"]:
            mine = model["experts"]["summary"][name](student["cls"])
            want = said["embedding" if name == "siglip" else "cls"]
            each["summary", name] = 1 - F.cosine_similarity(mine, want, dim=-1)
        mine = model["experts"]["spatial"][name](student["tokens"])
        want = bilinear(said["map"], student["map"].shape[2:]).flatten(2).transpose(1, 2)
        angle = 1 - F.cosine_similarity(mine, want, dim=-1).mean(1)
        each["spatial", name] = 0.9 * angle + 0.1 * F.smooth_l1_loss(mine, want, reduction="none").mean((1, 2))
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
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    record = Record()
    record.state("init", model.named_parameters())
    optimizer = torch.optim.AdamW([{"params": [], "scale": 1}], betas=(0.9, 0.999), eps=1e-6)
    add_groups(optimizer, trained, 0.2)
    for step in range(STEPS):
        each = distances(model, inputs["full"][step])
        loss = with_dropping(each, inputs["lucky"][step])
        optimizer.zero_grad()
        loss.backward()
        set_rate(optimizer, warmup_cosine(step, 2e-3, 4, STEPS))
        optimizer.step()
        record.step(loss=loss, **{f"experts__{kind}__{name}": x.mean() for (kind, name), x in each.items()})
    record.state("final", trained)
    record.inputs(inputs)
    record.write(sys.argv[1])


main()
