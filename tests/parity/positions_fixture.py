"""Write tests/data/runtime/positions.bin: tables of positions and what torch makes of them.

    python tests/parity/positions_fixture.py tests/data/runtime/positions.bin

Needs the Python package torch. The file is, for each row of CASES, the table and then the resized one, as f32;
tests/unit/runtime/test_positions.c has the same table. Grids are resized as OpenCLIP's resize_pos_embed does, lines as
its resize_text_pos_embed.
"""
import sys

import torch
import torch.nn.functional as F

WIDTH = 5
# rows before the grid, the grid of the file, that of the program; 0 rows high: a line
CASES = [
    (1, (4, 4), (3, 3)),
    (1, (3, 3), (5, 5)),
    (0, (7, 7), (2, 2)),
    (2, (4, 6), (3, 5)),
    (0, (2, 9), (6, 3)),
    (0, (0, 10), (0, 7)),
    (0, (0, 7), (0, 12)),
]


def grid(table, prefix, old, new):
    front, rest = table[:prefix], table[prefix:]
    rest = rest.reshape(1, *old, WIDTH).permute(0, 3, 1, 2)
    rest = F.interpolate(rest, size=new, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([front, rest.permute(0, 2, 3, 1).reshape(-1, WIDTH)])


def line(table, new):
    return F.interpolate(table.T[None], size=new, mode="linear", align_corners=False)[0].T


def main():
    torch.manual_seed(5)
    with open(sys.argv[1], "wb") as out:
        for prefix, old, new in CASES:
            rows = prefix + (old[0] * old[1] if old[0] else old[1])
            table = torch.randn(rows, WIDTH)
            resized = grid(table, prefix, old, new) if old[0] else line(table, new[1])
            out.write(table.numpy().tobytes() + resized.contiguous().numpy().tobytes())


if __name__ == "__main__":
    main()
