"""A SigLIP 2-like method in PyTorch, trained for 20 steps: tests/graphs/parity_siglip2.yaml is held against it.

    python tests/parity/siglip2.py tests/data/parity/siglip2.safetensors

The sigmoid loss of all pairs of a batch (Zhai et al. 2023). From step 8 on, a slow copy of the image encoder teaches it:
local crops its class token (SILC, Naeem et al. 2023), masked patches its patch tokens (TIPS, Maninis et al. 2024; iBOT,
Zhou et al. 2022), both by prototypes, with the copy's scores evened out as in SwAV (Caron et al. 2020) and DINOv2.
"""
import copy
import sys

import torch
import torch.nn.functional as F
from torch import nn

from common import (STEPS, Record, Text, Vit, add_groups, cosine, draw_parameters, draw_texts, group, normalize,
                    set_rate, warmup_cosine)

BATCH, SIZE, CROP, CROPS, PATCHES, VOCAB, LENGTH = 3, 24, 16, 2, 9, 40, 8
DENSE, FROZEN = 8, 3  # the step that the second phase begins with; how long prototypes stay in it
STORED = 10  # batches, which go round
EPS = 1e-5  # biases of keys have no gradient but rounding, of which a smaller one makes steps


class DinoHead(nn.Module):
    def __init__(self, width, hidden, bottleneck, prototypes):
        super().__init__()
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, hidden)
        self.third, self.last = nn.Linear(hidden, bottleneck), nn.Linear(bottleneck, prototypes, bias=False)

    def forward(self, x):
        x = F.normalize(self.third(F.gelu(self.second(F.gelu(self.first(x))))), dim=-1)
        return F.linear(x, F.normalize(self.last.weight, dim=-1))


def draw(seed):
    g = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.rand(STORED, BATCH, *shape, generator=g)
    hidden = rand(PATCHES) < 0.5
    hidden[..., 4] |= ~hidden.any(-1)  # at least one
    return {"global": (256 * rand(SIZE, SIZE, 3)).to(torch.uint8), "text": draw_texts(g, STORED, BATCH, LENGTH, VOCAB),
            "local": (256 * rand(CROPS, CROP, CROP, 3)).to(torch.uint8), "hidden": hidden}


def sigmoid_loss(a, b, log_scale, bias):
    logits = log_scale.exp() * F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T + bias
    return -F.logsigmoid(logits * (2 * torch.eye(len(a)) - 1)).sum() / len(a)


@torch.no_grad()
def sinkhorn_knopp(scores, temperature, rounds=3):
    q = (scores / temperature).exp().T
    q /= q.sum()
    prototypes, samples = q.shape
    for _ in range(rounds):
        q /= q.sum(1, keepdim=True) * prototypes
        q /= q.sum(0, keepdim=True) * samples
    return (q * samples).T


def cross_entropy(code, scores, temperature):
    return -(code * F.log_softmax(scores / temperature, -1)).sum(-1)


def silc_loss(student, slow, whole, local):
    code = sinkhorn_knopp(slow["dino"](slow["visual"](whole)["cls"]), 0.04)
    pixels = normalize(local.flatten(0, 1), "half")
    scores = student["dino"](student["visual"](pixels)["cls"]).unflatten(0, local.shape[:2])
    return torch.stack([cross_entropy(code, scores[:, i], 0.1) for i in range(CROPS)]).mean()


def mim_loss(student, slow, whole, hidden):
    """Masked patches count alone, those of a sample as much as those of another."""
    with torch.no_grad():
        code = sinkhorn_knopp(slow["ibot"](slow["visual"](whole)["tokens"][hidden]), 0.04)
    scores = student["ibot"](student["visual"](whole, hidden)["tokens"][hidden])
    share = (1 / hidden.sum(1, keepdim=True)).expand(hidden.shape)[hidden]
    return (share * cross_entropy(code, scores, 0.1)).sum() / len(hidden)


def starts_with_dense(name):
    return name.startswith(("dino.", "ibot.")) or name.endswith("mask_token")


def prepare(optimizer, model, step):
    """What begins with this step."""
    named = [(n, p) for n, p in model.named_parameters() if starts_with_dense(n) == (step == DENSE)]
    if step in (0, DENSE):
        add_groups(optimizer, named, 0.05)
    if step == DENSE:
        return copy.deepcopy(nn.ModuleDict({k: model[k] for k in ("visual", "dino", "ibot")}))


def train(model, inputs, record):
    optimizer = torch.optim.AdamW([{"params": [], "scale": 1}], betas=(0.9, 0.999), eps=EPS)
    slow, pair = None, model["losses"]["pair"]
    for step in range(STEPS):
        x = {name: t[step % STORED] for name, t in inputs.items()}
        slow = prepare(optimizer, model, step) or slow
        whole = normalize(x["global"], "half")
        embedding = model["visual"](whole)["embedding"]
        each = {"pair": sigmoid_loss(embedding, model["textual"](x["text"]), pair["scale"], pair["bias"])}
        loss = each["pair"]
        if slow:
            each["experts__silc"] = silc_loss(model, slow, whole, x["local"])
            each["experts__mim"] = mim_loss(model, slow, whole, x["hidden"])
            loss = loss + each["experts__silc"] + 2 * each["experts__mim"]
        optimizer.zero_grad()
        loss.backward()
        if step < DENSE + FROZEN:  # as DINO does: no update, no decay, no count
            model["dino"].last.weight.grad = model["ibot"].last.weight.grad = None
        set_rate(optimizer, warmup_cosine(step, 2e-3, 4, STEPS))
        optimizer.step()
        pair["scale"].data.clamp_(max=torch.tensor(100.0).double().log())
        if slow:
            m = cosine(step - DENSE, 0.9, 1.0, STEPS - DENSE)
            for kept, p in zip(slow.parameters(), nn.ModuleList(model[k] for k in slow).parameters()):
                kept.data = m * kept + (1 - m) * p.data
        record.step(loss=loss, **each)
    return slow


def main():
    model = group(
        visual=Vit(16, 2, 2, 12, 8, (SIZE // 8, SIZE // 8), pool="map", masked=True),
        textual=Text(16, 2, 2, 12, VOCAB, LENGTH, causal=False), dino=DinoHead(16, 16, 8, 10),
        ibot=DinoHead(16, 16, 8, 10),
        losses=group(pair=nn.ParameterDict({"scale": torch.zeros(()), "bias": torch.zeros(())})))
    draw_parameters(model, 3)
    model["losses"]["pair"]["scale"].data.fill_(2.25)
    model["losses"]["pair"]["bias"].data.fill_(-3)
    inputs, record = draw(4), Record()
    record.state("init", model.named_parameters())
    slow = train(model, inputs, record)
    record.state("final", model.named_parameters())
    record.state("final", [("slow." + name, p) for name, p in slow.named_parameters()])
    inputs["local"] = inputs["local"].flatten(1, 2)
    record.inputs(inputs)
    record.write(sys.argv[1])


main()
