"""Write the small reinforced shards of tests/data/reinforced, as DataCompDR's are made.

    python tests/parity/reinforced_fixture.py tests/data/reinforced

Needs the Python packages Pillow and numpy. images-0.tar has pictures and captions; dr-0.tar, of the same keys, has three
stored augmentations, two synthetic captions, and the embeddings of two teachers of 8 numbers each.
"""
import io
import json
import sys
import tarfile

import numpy as np
from PIL import Image

SAMPLES, AUGS, SYNS, WIDTH = 8, 3, 2, 16


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def embeddings(rng, base, rows):
    near = base + 0.2 * rng.standard_normal((rows, WIDTH))
    return np.concatenate([unit(near[:, :WIDTH // 2]), unit(near[:, WIDTH // 2:])], axis=1)


def sample(i, rng, images, dr):
    y, x = np.mgrid[0:44, 0:52].astype(np.float64)
    pixels = np.stack([128 + 100 * np.sin((x + 9 * i) / 6), 5 * y, 30 * i + x], -1).clip(0, 255).astype(np.uint8)
    jpg, npz = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).save(jpg, "JPEG", quality=85)
    base = rng.standard_normal(WIDTH)
    save = np.savez if i % 2 else np.savez_compressed
    save(npz, image_emb=embeddings(rng, base, AUGS), text_emb=embeddings(rng, base, 1 + SYNS))
    augs = [[[int(rng.integers(0, 12)), int(rng.integers(0, 12)), 32, 40],
             [[int(rng.integers(0, 14)), 0.27], [int(rng.integers(0, 6)), -0.09 * (a + 1)]]] for a in range(AUGS)]
    param = augs if i % 2 else json.dumps(augs)  # a list, or one packed into a text: both are found
    syn = {"syn_text": [f"a pattern, number {i}", f"stripes {i}"]}
    add(images, f"{i:04}.jpg", jpg.getvalue())
    add(images, f"{i:04}.txt", f"a picture of pattern {i}".encode())
    add(dr, f"{i:04}.npz", npz.getvalue())
    add(dr, f"{i:04}.paug.json", json.dumps({"param_aug": param}).encode())
    add(dr, f"{i:04}.syn.json", json.dumps(syn).encode())


def main():
    rng = np.random.default_rng(5)
    with tarfile.open(f"{sys.argv[1]}/images-0.tar", "w") as images, tarfile.open(f"{sys.argv[1]}/dr-0.tar", "w") as dr:
        for i in range(SAMPLES):
            sample(i, rng, images, dr)


main()
