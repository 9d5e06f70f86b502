"""CLIPTeX (Salehi et al. 2023) in PyTorch, trained for 20 steps: tests/graphs/parity_cliptex.yaml is held against it.

    python tests/parity/cliptex.py tests/data/parity/cliptex.safetensors

CLIP's symmetric contrastive loss, and three dense tasks with hard pseudo-labels on the image tokens: segmentation
(cross-entropy), depth (L1 of maps without shift and scale) and surface normals (one minus cosine), each by a 1x1
convolution on features, upsampled. Weights of the tasks are ramped.
"""
import sys

import torch
import torch.nn.functional as F
from torch import nn

from common import (STEPS, Conv1x1, Record, Text, Vit, add_groups, draw_parameters, draw_texts, group, normalize, ramp,
                    set_rate, warmup_cosine)

BATCH, SIZE, LAB, CLASSES, VOCAB, LENGTH, IGNORED = 4, 24, 7, 5, 40, 8, 255


def draw(seed):
    g = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.rand(STEPS, BATCH, *shape, generator=g)
    seg = (CLASSES * rand(LAB, LAB)).to(torch.int32)
    seg[rand(LAB, LAB) < 0.1] = IGNORED
    seg[3, 1] = IGNORED  # no label of this sample
    depth = 0.5 + 4 * rand(LAB, LAB)
    depth[rand(LAB, LAB) < 0.2] = 0
    depth[2, 0] = 0
    normal = F.normalize(rand(3, LAB, LAB) * 2 - 1, dim=2)
    return {"image": (256 * rand(SIZE, SIZE, 3)).to(torch.uint8), "text": draw_texts(g, STEPS, BATCH, LENGTH, VOCAB),
            "seg": seg, "depth": depth, "normal": normal, "normal.valid": rand(LAB, LAB) >= 0.15}


def contrastive(a, b, log_scale):
    logits = log_scale.exp() * F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T
    own = torch.arange(len(a))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def without_shift_and_scale(x):
    x = x - x.mean()
    return x / x.abs().mean()


def depth_loss(output, target, valid):
    """Over the valid pixels of all maps, each put right by its own."""
    each = [(without_shift_and_scale(o[v]) - without_shift_and_scale(t[v])).abs()
            for o, t, v in zip(output, target, valid) if v.any()]
    return torch.cat(each).mean()


def losses(model, x):
    visual = model["visual"](normalize(x["image"], "clip"))
    text = model["textual"](x["text"])
    up = lambda y: F.interpolate(y, size=(LAB, LAB), mode="bilinear", align_corners=False)
    head = {name: model["experts"][name]["head"] for name in ("seg", "depth", "normal")}
    seg = up(head["seg"](visual["map"]))
    depth = up(head["depth"](visual["blocks"][0]))[:, 0]
    normal = F.normalize(up(head["normal"](visual["blocks"][0])), dim=1)
    angle = 1 - F.cosine_similarity(normal, x["normal"].double(), dim=1)
    return {"pair": contrastive(visual["embedding"], text, model["losses"]["pair"]["scale"]),
            "experts__seg": F.cross_entropy(seg, x["seg"].long(), ignore_index=IGNORED),
            "experts__depth": depth_loss(depth, x["depth"].double(), x["depth"] > 0),
            "experts__normal": angle[x["normal.valid"]].mean()}


def main():
    model = group(
        visual=Vit(16, 2, 2, 12, 8, (SIZE // 8, SIZE // 8)), textual=Text(16, 2, 2, 12, VOCAB, LENGTH),
        experts=group(seg=group(head=Conv1x1(16, CLASSES)), depth=group(head=Conv1x1(16, 1)),
                      normal=group(head=Conv1x1(16, 3))),
        losses=group(pair=nn.ParameterDict({"scale": torch.zeros(())})))
    draw_parameters(model, 1)
    scale = model["losses"]["pair"]["scale"]
    scale.data.fill_(2.65625)
    inputs, record = draw(2), Record()
    record.state("init", model.named_parameters())
    optimizer = torch.optim.AdamW([{"params": [], "scale": 1}], betas=(0.9, 0.98), eps=1e-6)
    add_groups(optimizer, model.named_parameters(), 0.2,
               bare=lambda n: n.endswith(".bias") or "ln_" in n or n.endswith("scale"),
               scale=lambda n: 10 if n.startswith("experts.") else 1)
    for step in range(STEPS):
        each = losses(model, {name: x[step] for name, x in inputs.items()})
        loss = each["pair"] + ramp(step, 0, 8) * each["experts__seg"]
        loss = loss + 0.5 * ramp(step, 4, 12) * (each["experts__depth"] + each["experts__normal"])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_rate(optimizer, warmup_cosine(step, 2e-3, 5, STEPS))
        optimizer.step()
        scale.data.clamp_(max=torch.tensor(100.0).double().log())
        record.step(loss=loss, **each)
    record.state("final", model.named_parameters())
    # as decoded labels are: an element that is not valid is zero
    inputs["seg.valid"], inputs["depth.valid"] = inputs["seg"] != IGNORED, inputs["depth"] > 0
    inputs["seg"][~inputs["seg.valid"]] = 0
    inputs["normal"] = inputs["normal"] * inputs["normal.valid"].unsqueeze(2)
    record.inputs(inputs)
    record.write(sys.argv[1])


main()
