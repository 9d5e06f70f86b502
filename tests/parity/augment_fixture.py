"""Write tests/data/runtime/augment/fixture.bin: a picture and what torchvision makes of it.

    python tests/parity/augment_fixture.py tests/data/runtime/augment/fixture.bin

Needs the Python packages torchvision, Pillow and numpy. The file is (37, 53, 3) bytes, then (20, 24, 3) for each row
of RESULTS, in order; tests/unit/runtime/test_augment.c has the same table.
"""
import sys

import numpy as np
from PIL import Image
from torchvision.transforms.functional import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import _apply_op

BOX = (5, 8, 27, 40)  # top, left, height, width
OPS = [
    ("Identity", 0.0), ("ShearX", 0.09), ("ShearX", -0.3), ("ShearY", 0.09), ("ShearY", -0.21), ("TranslateX", 3.7),
    ("TranslateX", -5.2), ("TranslateY", 4.4), ("TranslateY", -2.9), ("Rotate", 9.0), ("Rotate", -27.0),
    ("Brightness", 0.27), ("Brightness", -0.45), ("Color", 0.9), ("Color", -0.9), ("Contrast", 0.27),
    ("Contrast", -0.63), ("Sharpness", 0.81), ("Sharpness", -0.27), ("Posterize", 4.0), ("Posterize", 7.0),
    ("Solarize", 178.5), ("Solarize", 59.5), ("AutoContrast", 0.0), ("Equalize", 0.0),
]
HUES = [0.3, -0.5, 0.11]


def picture():
    y, x = np.mgrid[0:37, 0:53].astype(np.float64)
    noise = np.random.default_rng(11).integers(-25, 25, (37, 53, 3))
    red = 120 + 90 * np.sin(x / 6) * np.cos(y / 5)
    green = 60 + 3 * ((x * y / 7) % 40)
    blue = np.where((x // 7 + y // 6) % 2 == 0, 210, 40)
    return np.clip(np.stack([red, green, blue], -1) + noise, 3, 250).astype(np.uint8)


def main():
    pixels = picture()
    view = F.resized_crop(Image.fromarray(pixels), *BOX, [20, 24], InterpolationMode.BICUBIC)
    results = [view, F.hflip(view)]
    results += [_apply_op(view, name, m, interpolation=InterpolationMode.NEAREST, fill=None) for name, m in OPS]
    results += [F.adjust_hue(view, h) for h in HUES] + [F.rgb_to_grayscale(view, 3)]
    twice = _apply_op(F.hflip(view), "Rotate", 18.0, interpolation=InterpolationMode.NEAREST, fill=None)
    results += [_apply_op(twice, "Color", 0.54, interpolation=InterpolationMode.NEAREST, fill=None)]
    with open(sys.argv[1], "wb") as out:
        out.write(pixels.tobytes())
        for image in results:
            out.write(np.asarray(image).tobytes())


main()
