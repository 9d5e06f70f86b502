"""A drawing of the collection: its picture, its words, its fingerprints.

load() reads one PNG into at most 160 x 160 RGBA, cut to its content; a picture of hundreds of
megapixels is reduced strip by strip, so that no second full-size copy exists. The words come from
the PNG's own title where the file name agrees with it, else from the file name without its author,
who stands (cut short) at its end. The fingerprint is a 64-bit difference hash and a 64-bit DCT
hash, of the drawing on white and of its alpha mask, each also mirrored.
"""

import os
import re
import unicodedata
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

Image.MAX_IMAGE_PIXELS = None
SIDE = 160  # longest side kept
STRIP = 1 << 24  # pixels reduced at a time
BOX = Image.Resampling.BOX

# Names under which an author stands in file names, where it is not the one in the PNG.
ALIASES = {
    "Gerald G.": ["ganson"],
    "Architetto Francesco Rollandin": ["rollandin", "architetto francesco"],
    "AJ Ashton": ["aj"],
}
NOISE = set("md svg icon clipart openclipart aiga ganson image simbol etiquette".split())


@dataclass
class Drawing:
    path: str
    title: str
    author: str
    rgba: np.ndarray  # (h, w, 4) u8
    hashes: np.ndarray = None  # (8,) u64: white d, white p, alpha d, alpha p, the same mirrored
    plain: bool = False  # the silhouette is a box, an ellipse or a triangle
    aspect: float = 0.0  # log(width / height)
    solid: bool = False  # mostly opaque: fit for the test set
    name: str = ""
    label: str = ""  # class name, "" for none
    topic: str = ""
    caption: str = ""
    series: tuple = field(default=())


def shrink(im):
    """An image of any size and mode as RGBA, its longest side at most 4 * SIDE."""
    k = max(1, max(im.size) // (2 * SIDE))
    if k == 1:
        return im.convert("RGBA")
    w, h = im.size
    step = max(1, STRIP // (w * k)) * k
    strips = ((0, y, w, min(h, y + step)) for y in range(0, h, step))
    parts = [im.crop(box).convert("RGBA").reduce(k) for box in strips]
    out = Image.new("RGBA", (parts[0].width, sum(p.height for p in parts)))
    y = 0
    for p in parts:
        out.paste(p, (0, y))
        y += p.height
    return out


def pixels(root, path):
    """Of the file's header; 0 when it cannot be read, which load will report."""
    try:
        with Image.open(os.path.join(root, path)) as im:
            return im.width * im.height
    except (OSError, ValueError, SyntaxError):
        return 0


def load(root, path):
    """(Drawing, "") or (None, why not)."""
    try:
        with Image.open(os.path.join(root, path)) as im:
            if max(im.size) < 48:
                return None, "too small"
            clear = "A" in im.mode or "transparency" in im.info
            title, author = (str(im.info.get(k) or "") for k in ("Title", "Author"))
            small = shrink(im) if clear else None
    except (OSError, ValueError, SyntaxError) as e:
        return None, f"broken: {path}: {e}"
    if not clear:
        return None, "no transparency"
    box = small.getchannel("A").point(lambda v: 255 * (v > 16)).getbbox()
    if box is None:
        return None, "empty"
    small = small.crop(box)
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    a = np.asarray(small)[..., 3]
    full, half = (a >= 230).mean(), ((a > 16) & (a < 230)).mean()
    if full > 0.985 and "/flags/" not in path:
        return None, "opaque box"
    if full < 0.08:
        return None, "too thin"
    if half > 0.42 * (full + half):
        return None, "half transparent"
    d = Drawing(path, title, author, np.asarray(small).copy())
    d.solid = full >= 0.15 and half <= 0.3 * (full + half)
    fingerprint(d)
    return d, ""


def pack_bits(b):
    return np.packbits(b.reshape(-1)).view(np.uint64)[0]


DCT = np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(32) + 1) / 64)


def two_hashes(gray):
    s = np.asarray(Image.fromarray(gray).resize((9, 8), BOX), np.int32)
    t = np.asarray(Image.fromarray(gray).resize((32, 32), BOX), np.float64)
    c = DCT @ t @ DCT.T
    return [pack_bits(s[:, 1:] > s[:, :-1] + 1), pack_bits(c > np.median(c.reshape(-1)[1:]))]


def on_white(rgba):
    """Gray on white, (h, w) u8."""
    a = rgba[..., 3].astype(np.float64) / 255
    g = rgba[..., :3].astype(np.float64) @ [0.299, 0.587, 0.114]
    return (g * a + 255 * (1 - a)).astype(np.uint8)


def fingerprint(d):
    h, w = d.rgba.shape[:2]
    q = np.asarray(Image.fromarray(d.rgba).resize((64, 64), BOX))
    g, a = on_white(q), q[..., 3].copy()
    pairs = [two_hashes(np.ascontiguousarray(x)) for x in (g, a, g[:, ::-1], a[:, ::-1])]
    d.hashes = np.array(sum(pairs, []), np.uint64)
    d.aspect = float(np.log(w / h))
    y, x = (v - 31.5 for v in np.mgrid[:64, :64])
    tri = abs(x) <= (y + 32.5) / 2
    shapes = [x * x + y * y <= 1024, np.ones((64, 64), bool), tri, tri[::-1]]
    m = a > 127
    d.plain = max((m & s).sum() / (m | s).sum() for s in shapes) >= 0.88


# ---- words ----


def fold(s):
    """ASCII letters of a text; titles are UTF-8 read as Latin-1."""
    try:
        s = s.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        pass
    return unicodedata.normalize("NFKD", s).encode("ascii", "ignore").decode()


def words(s):
    s = re.sub(r"([a-z])([A-Z])", r"\1 \2", fold(s))
    return re.findall(r"[a-z]+|\d+", s.lower().replace("'s", ""))


def without_author(stem, author):
    """The words of a file name before its author's, whose own may be cut short anywhere."""
    w = words(stem)
    while len(w) > 1 and re.fullmatch(r"\d{1,2}|[a-z]", w[-1]):
        w.pop()
    for name in [author] + ALIASES.get(author, []):
        full = " ".join(words(re.sub(r"[(\[].*", "", name)))
        for i in range(1, len(w)):
            tail = " ".join(w[i:])
            if full and (full.startswith(tail) or tail.startswith(full)):
                return w[:i]
    return w


def raw_name(d):
    """The drawing's words, uncurated, without numbers."""
    stem = without_author(os.path.basename(d.path)[:-4], d.author)
    title = re.sub(r"\(?e?-?mail.*|\(.*@.*|clipart by .* - ", "", fold(d.title), flags=re.I)
    title = words(title) if words(title) != words(d.author) else []
    a, b = ("".join(w for w in x if not w.isdigit()) for x in (stem, title))
    if b and (b.startswith(a) or a.startswith(b)):
        stem = title
    return " ".join(w for w in stem if not w.isdigit() and w not in NOISE)


COUNTRIES = {
    "france": "france",
    "germany": "germany",
    "spain": "spain",
    "usa": "the usa",
    "uk": "the united kingdom",
    "canada": "canada",
    "australia": "australia",
    "belgium": "belgium",
    "denmark": "denmark",
    "italy": "italy",
    "finland": "finland",
}
FLAG_WORDS = {
    "kansasflag": "kansas",
    "suisse": "switzerland",
    "ukrainian": "ukraine",
    "andorre": "andorra",
    "southcarolina": "south carolina",
    "northcarolina": "north carolina",
    "cymru": "",
    "dannebrog": "denmark",
    "netherland": "the netherlands",
    "capeverde": "cape verde",
    "missisipi": "mississippi",
}
DIGITS = "zero one two three four five six seven eight nine".split()


def flag_name(path, raw):
    w = re.findall(r"[a-z]+|\d", os.path.basename(path)[:-4].lower())
    if w[0] == "signalflag":
        return "signal flag " + " ".join(DIGITS[int(x)] if x.isdigit() else x for x in w[1:])
    w = [FLAG_WORDS.get(x, x) for x in raw.split() if x not in ("flag", "national", "of", "the")]
    if len(w) > 1 and w[0] in COUNTRIES and w[1] != "historic":
        return f"the flag of {' '.join(w[1:])} in {COUNTRIES[w[0]]}"
    return f"the flag of {' '.join(w).strip()}" if w else "flag"


def tidy(name):
    """Adjectives to the front, stray letters out."""
    name = re.sub(r"^(.*) symbol c?m bwh$", r"map symbol of a \1", name)
    name = re.sub(r"rpg map elements?|\bbw\b|\b[b-rsu-wyz]\b", " ", name)
    name = re.sub(r"^(.*) simple$", r"simple \1", re.sub(r"\s+", " ", name).strip())
    return name[2:] if name.startswith("a ") else name
