"""Puts a drawing on a background so that its outline has to be understood.

Drawings on white are segmented by a threshold. So several backgrounds are drawn at random, and the
first is kept where no threshold on brightness finds the drawing (best_threshold, over all
thresholds and both directions) while the eye still sees its edge (visible). If none is good, the
least bad one is kept.
"""

import numpy as np
from PIL import Image, ImageFilter

SIZE = 64
IGNORE = 255
CANDIDATES = 24
GRAY = np.array([0.299, 0.587, 0.114])


def gray(rgb):
    """(h, w) i32 of 0..255, from (h, w, 3) u8."""
    return np.floor(rgb.astype(np.float64) @ GRAY + 0.5).astype(np.int32)


def place(rgba, rng):
    """The drawing somewhere in the frame: colours (S, S, 3) f64, alpha (S, S) f64 in 0..1."""
    h, w = rgba.shape[:2]
    s = rng.integers(34, 61) / max(h, w)
    w, h = max(4, round(w * s)), max(4, round(h * s))
    im = Image.fromarray(rgba).resize((w, h), Image.Resampling.LANCZOS)
    x, y = int(rng.integers(0, SIZE - w + 1)), int(rng.integers(0, SIZE - h + 1))
    frame = np.zeros((SIZE, SIZE, 4))
    frame[y : y + h, x : x + w] = np.asarray(im)
    return frame[..., :3], frame[..., 3] / 255


def class_map(alpha):
    m = np.full(alpha.shape, IGNORE, np.uint8)
    m[alpha >= 0.75] = 1
    m[alpha <= 0.25] = 0
    return m


# ---- backgrounds ----


def smooth(rng, cells):
    """Value noise (S, S) in 0..1 with so many cells a side."""
    g = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
    return np.asarray(g.resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float64) / 255


def blend(c0, c1, t):
    return c0 + (c1 - c0) * t[..., None]


def colour(rng):
    return rng.random(3) * 255


def flat(rng, _):
    return np.tile(colour(rng), (SIZE, SIZE, 1))


def gradient(rng, _):
    y, x = np.mgrid[:SIZE, :SIZE] / (SIZE - 1)
    a = rng.random() * 2 * np.pi
    t = (x - 0.5) * np.cos(a) + (y - 0.5) * np.sin(a) + 0.5
    if rng.random() < 0.4:
        t = np.hypot(x - rng.random(), y - rng.random())
    return blend(colour(rng), colour(rng), np.clip(t, 0, 1))


def noise(rng, _):
    t = sum(smooth(rng, c) * w for c, w in ((3, 0.5), (6, 0.3), (14, 0.2)))
    t = np.clip((t - t.min()) / (t.max() - t.min() + 1e-9), 0, 1)
    return blend(blend(colour(rng), colour(rng), t), colour(rng), smooth(rng, 4))


def pattern(rng, _):
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    a, n = rng.random() * np.pi, 6 + 14 * rng.random()
    u, v = x * np.cos(a) + y * np.sin(a), y * np.cos(a) - x * np.sin(a)
    t = np.sin(2 * np.pi * u / n)
    if rng.random() < 0.5:
        t = t * np.sin(2 * np.pi * v / n)
    return blend(colour(rng), colour(rng), np.clip(t * 2 + 0.5, 0, 1))


def cutouts(rng, others):
    """Other drawings on a plain ground, blurred or pale."""
    base = (flat, gradient, noise)[rng.integers(0, 3)](rng, None)
    im = Image.fromarray(base.astype(np.uint8))
    blurred = rng.random() < 0.6
    for i in rng.integers(0, len(others), int(rng.integers(3, 8))):
        o = Image.fromarray(others[i])
        s = rng.integers(20, 56) / max(o.size)
        size = max(3, round(o.width * s)), max(3, round(o.height * s))
        o = o.resize(size, Image.Resampling.LANCZOS)
        o = o.transpose(Image.Transpose(int(rng.integers(0, 5))))
        k = 0.55 + 0.4 * rng.random() if blurred else 0.25 + 0.25 * rng.random()
        m = o.getchannel("A").point(lambda v, k=k: int(v * k))
        at = (int(rng.integers(-12, SIZE - 12)), int(rng.integers(-12, SIZE - 12)))
        im.paste(o.convert("RGB"), at, m)
    if blurred:
        im = im.filter(ImageFilter.GaussianBlur(1.0 + 1.5 * rng.random()))
    return np.asarray(im).astype(np.float64)


KINDS = ((flat, 0.08), (gradient, 0.17), (noise, 0.22), (pattern, 0.13), (cutouts, 0.40))


# ---- how good ----


def best_threshold(g, seg):
    """The best IoU that one threshold on gray reaches on this picture, either way round."""
    fg = np.bincount(g[seg == 1], minlength=256).cumsum()
    bg = np.bincount(g[seg == 0], minlength=256).cumsum()
    n, m = max(int(fg[-1]), 1), bg[-1]
    return max((fg / (n + bg)).max(), ((n - fg) / (n + m - bg)).max())


def box5(x):
    """Sums over 5 x 5, the frame's edge repeated as zeros."""
    for axis in (0, 1):
        p = np.pad(x, [(3, 2) if i == axis else (0, 0) for i in range(x.ndim)]).cumsum(axis)
        n = x.shape[axis]
        x = p.take(range(5, 5 + n), axis) - p.take(range(0, n), axis)
    return x


def visible(rgb, seg):
    """The share of the outline where both sides' mean colours lie 45 or more of 255 apart."""
    f, b = (seg == 1).astype(np.float64), (seg == 0).astype(np.float64)
    nf, nb = box5(f), box5(b)
    edge = (nf >= 5) & (nb >= 5)
    if not edge.any():
        return 0.0
    mean_f = box5(rgb * f[..., None])[edge] / nf[edge][:, None]
    mean_b = box5(rgb * b[..., None])[edge] / nb[edge][:, None]
    d = mean_f - mean_b
    return float((np.sqrt((d * d).sum(1)) >= 45).mean())


def compose(rgba, others, rng):
    """(rgb (S, S, 3) u8, class map (S, S) u8, background's kind)."""
    while True:
        rgbs, alpha = place(rgba, rng)
        seg = class_map(alpha)
        if (seg == 1).sum() >= 100:
            break
    best = None
    for _ in range(CANDIDATES):
        kind = KINDS[rng.choice(len(KINDS), p=[p for _, p in KINDS])][0]
        rgb = rgbs * alpha[..., None] + np.clip(kind(rng, others), 0, 255) * (1 - alpha[..., None])
        rgb = np.clip(rgb + 0.5, 0, 255).astype(np.uint8)
        t, v = best_threshold(gray(rgb), seg), visible(rgb.astype(np.float64), seg)
        cost = max(0.0, t - 0.55) + max(0.0, 0.7 - v)
        if best is None or cost < best[0]:
            best = cost, rgb, seg, kind.__name__
        if cost == 0:
            break
    return best[1:]
