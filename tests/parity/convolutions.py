"""Image encoders of convolutions in PyTorch, trained for 20 steps: what
tests/graphs/parity_convolutions.yaml is held against.

    python tests/parity/convolutions.py tests/data/parity/convolutions.safetensors

Small ones of each kind (convnets.py) learn to embed noise as vectors, and a place of their first
stage to be about 1. A teacher, which normalises by means that it was given, says the vectors of one
of them.
"""
import sys

import torch
from torch import nn

from common import STEPS, Record, group, normalize
from convnets import ClipResNet, ConvNext, MobileClip, ResNet, buffers, draw_values

BATCH, SIZE, EMBED, STORED = 4, 32, 6, 4


def main():
    net = group(basic=ResNet([1, 2], 4, EMBED, True), deep=ResNet([1, 2], 4, EMBED, False),
                clip=ClipResNet([1, 2], 4, EMBED, 2, 2), mobile=MobileClip([1, 1, 1], 8, EMBED),
                next=ConvNext([1, 2], 8, EMBED))
    model = nn.ModuleDict({**net, "teachers": group(still=ResNet([1, 1], 4, EMBED, True))}).double()
    draw_values(model, 3)
    model["teachers"].requires_grad_(False).eval()
    g = torch.Generator().manual_seed(4)
    pixels = torch.randint(0, 256, (STORED, BATCH, SIZE, SIZE, 3), generator=g).to(torch.uint8)
    inputs = {"image": pixels,
              "want": torch.randn(STORED, BATCH, EMBED, generator=g)}
    record = Record()
    record.state("init", [*model.named_parameters(), *buffers(model)])
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.002, momentum=0.9)
    for step in range(STEPS):
        image, losses = normalize(inputs["image"][step % STORED], "imagenet"), {}
        for name in net:
            said, maps = model[name](image)
            want = inputs["want"][step % STORED]
            if name == "deep":
                want = model["teachers"]["still"](image)[0]
            losses[name] = (said - want).square().mean()
            losses[name] = losses[name] + 0.1 * (maps[0][:, 1:, 0] - 1).square().mean()
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        record.step(loss=sum(losses.values()), **{f"l_{name}": x for name, x in losses.items()})
    own = lambda named: [(n, x) for n, x in named if not n.startswith("teachers.")]
    record.state("final", own([*model.named_parameters(), *buffers(model)]))
    record.inputs({**inputs, "want.valid": torch.ones(STORED, BATCH, dtype=torch.bool)})
    record.write(sys.argv[1])


main()
