"""Write the small pictures of tests/data/runtime/images and what Pillow makes of them.

    python tests/parity/image_fixture.py tests/data/runtime/images

Needs the Python packages Pillow and numpy. The pictures are made here from formulas; X.rgb files hold raw
(H, W, 3) bytes that Pillow decoded or resampled.
"""
import sys

import numpy as np
from PIL import Image, __version__

H, W = 47, 61


def picture():
    y, x = np.mgrid[0:H, 0:W].astype(np.float64)
    rng = np.random.default_rng(7)
    noise = rng.integers(-20, 20, (H, W, 3))
    red = 127 + 120 * np.sin(x / 5) * np.cos(y / 7)
    green = 4 * ((x * y / 9) % 64)
    blue = np.where((x // 8 + y // 8) % 2 == 0, 230, 20)
    return np.clip(np.stack([red, green, blue], -1) + noise, 0, 255).astype(np.uint8)


def main():
    out = sys.argv[1]
    rgb = picture()
    image = Image.fromarray(rgb)
    image.save(f"{out}/rgb.png")
    image.save(f"{out}/photo.jpg", quality=90)
    image.convert("L").save(f"{out}/gray.jpg", quality=90, progressive=True)
    image.save(f"{out}/lossless.webp", lossless=True)
    image.save(f"{out}/lossy.webp", quality=80)
    for name in ("photo.jpg", "gray.jpg", "lossy.webp"):
        Image.open(f"{out}/{name}").convert("RGB").tobytes()
        open(f"{out}/{name}.rgb", "wb").write(Image.open(f"{out}/{name}").convert("RGB").tobytes())
    labels = (np.add.outer(np.arange(9), np.arange(13)) % 16).astype(np.uint8)
    for bits in (1, 2, 4, 8):
        index = Image.fromarray(labels % (1 << bits) if bits < 8 else labels * 13, "P")
        index.putpalette([(37 * i + c) % 256 for i in range(256) for c in range(3)])
        index.save(f"{out}/index{bits}.png", bits=bits)
    Image.fromarray((labels % 2 * 255).astype(np.uint8)).convert("1").save(f"{out}/gray1.png")
    Image.fromarray(labels.astype(np.uint16) * 4000 + 7).save(f"{out}/gray16.png")
    alpha = np.concatenate([rgb, rgb[:, :, :1]], -1)
    Image.fromarray(alpha, "RGBA").save(f"{out}/rgba.png")
    cases = {
        "down": ((17, 23), None, False), "up": ((100, 90), None, False), "same": ((W, H), None, False),
        "crop": ((32, 32), (5, 3, 44, 40), False), "flip": ((32, 24), (10, 0, 61, 47), True),
        "tiny": ((1, 1), None, False), "wide": ((64, 8), (0, 20, 61, 22), False),
    }
    for name, (size, box, flip) in cases.items():
        x0, y0, x1, y1 = box or (0, 0, W, H)  # two steps, so that Pillow cannot choose their order
        made = image.resize((size[0], H), Image.BICUBIC, box=(x0, 0, x1, H))
        made = made.resize(size, Image.BICUBIC, box=(0, y0, size[0], y1))
        if flip:
            made = made.transpose(Image.FLIP_LEFT_RIGHT)
        open(f"{out}/resize_{name}.rgb", "wb").write(made.tobytes())
    print("Pillow", __version__)


if __name__ == "__main__":
    main()
