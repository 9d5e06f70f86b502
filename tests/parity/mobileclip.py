"""A MobileCLIP-like method in PyTorch, trained for 20 steps: tests/graphs/parity_mobileclip.yaml is held against it.

    python tests/parity/mobileclip.py tests/data/parity/mobileclip.safetensors

Reinforced data (Vasu et al. 2024): stored embeddings of two teachers, side by side, for a picture, its caption and a
synthetic one. The loss of distillation is the divergence of the student's image-text similarities in the batch from each
teacher's, both ways, the mean over teachers; beside it CLIP's own. One learned scale is shared by all.
"""
import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

from common import STEPS, Record, Text, add_groups, draw_parameters, draw_texts, group, set_rate, warmup_cosine
from convnets import MobileClip, buffers, draw_values

BATCH, SIZE, VOCAB, LENGTH, TEACHER, STORED = 4, 24, 40, 8, 6, 12
EPS = 1e-4  # biases of keys, and scales that a norm undoes, have no gradient but rounding, of which a smaller one makes steps
NORMS = ("ln_", "bn.", "norm.", "rbr_skip.")
TEMPERATURES = (1 / 70, 1 / 60)  # of the teachers


def draw(seed):
    g = torch.Generator().manual_seed(seed)
    # a teacher's vectors of a sample are alike, as those of trained teachers are
    shared = torch.randn(STORED, BATCH, 2 * TEACHER, generator=g)
    vectors = lambda: shared + 0.6 * torch.randn(shared.shape, generator=g)
    image = torch.randint(0, 256, (STORED, BATCH, SIZE, SIZE, 3), generator=g).to(torch.uint8)
    return {"image": image, "text": draw_texts(g, STORED, BATCH, LENGTH, VOCAB),
            "syn": draw_texts(g, STORED, BATCH, LENGTH, VOCAB), "t_img": vectors(), "t_txt": vectors(), "t_syn": vectors()}


def contrastive(logits):
    own = torch.arange(len(logits))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def distillation(logits, images, texts):
    loss = 0
    for a, b, temperature in zip(images.double().split(TEACHER, 1), texts.double().split(TEACHER, 1), TEMPERATURES):
        taught = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / temperature
        for mine, theirs in ((logits, taught), (logits.T, taught.T)):
            divergence = F.kl_div(F.log_softmax(mine, 1), F.log_softmax(theirs, 1), reduction="batchmean", log_target=True)
            loss = loss + divergence / (2 * len(TEMPERATURES))
    return loss


def losses(model, x, log_scale):
    image = F.normalize(model["visual"](x["image"].double().permute(0, 3, 1, 2) / 255)[0], dim=-1)
    real, synthetic = (log_scale.exp() * image @ F.normalize(model["textual"](x[name]), dim=-1).T
                       for name in ("text", "syn"))
    return {"clip": contrastive(real), "clip_syn": contrastive(synthetic),
            "kd": distillation(real, x["t_img"], x["t_txt"]), "kd_syn": distillation(synthetic, x["t_img"], x["t_syn"])}


def main():
    model = group(visual=MobileClip([1, 1, 1], 8, 12), textual=Text(16, 2, 2, 12, VOCAB, LENGTH))
    model.register_parameter("logit_scale", nn.Parameter(torch.zeros(())))
    draw_parameters(model, 7)
    draw_values(model["visual"].double(), 9)
    model.logit_scale.data.fill_(2.65625)
    inputs, record = draw(8), Record()
    record.state("init", [*model.named_parameters(), *buffers(model)])
    optimizer = torch.optim.AdamW([{"params": [], "scale": 1}], betas=(0.9, 0.95), eps=EPS)
    add_groups(optimizer, model.named_parameters(), 0.2,
               bare=lambda n: n.endswith(".bias") or "scale" in n or any(part in n for part in NORMS))
    for step in range(STEPS):
        each = losses(model, {name: x[step % STORED] for name, x in inputs.items()}, model.logit_scale)
        loss = 0.25 * each["clip"] + 0.5 * each["clip_syn"] + each["kd"] + each["kd_syn"]
        optimizer.zero_grad()
        loss.backward()
        set_rate(optimizer, warmup_cosine(step, 2e-3, 4, STEPS))
        optimizer.step()
        model.logit_scale.data.clamp_(max=math.log(100))
        record.step(loss=loss, **each)
    record.state("final", [*model.named_parameters(), *buffers(model)])
    record.inputs(inputs)
    record.inputs({"t_img.valid": torch.ones(STORED, BATCH, dtype=torch.bool)})
    record.write(sys.argv[1])


main()
