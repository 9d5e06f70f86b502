"""Makes the demo data set from Debian's package openclipart-png: see README.md beside this file.

read -> drop near-duplicates -> hold out 16 drawings of each of 16 classes -> drop from training
whatever is related to them -> caption -> compose -> shards -> check everything that was written.

usage: pack.py [--source /usr/share/openclipart/png] [--out FOLDER]    needs Pillow and numpy
"""

import argparse
import collections
import hashlib
import io
import json
import os
import re
import sys
import tarfile
import zlib
from multiprocessing import Pool

import numpy as np
from PIL import Image

import compose
from drawing import flag_name, fold, load, pixels, raw_name, tidy

SEED = 20
HERE = os.path.dirname(os.path.abspath(__file__))
NEAR_WHITE, NEAR_ALPHA = 22, 14  # of 128 bits: so near is a duplicate, everywhere
KIN_WHITE, KIN_ALPHA = 26, 18  # never across train and test, nor within test
SERIES_WHITE, SERIES_ALPHA = 34, 24  # the same, for two drawings of one author and name
SAME_ASPECT = 0.18
TEST_PER_CLASS = 16
SERIES_CAP = 4  # of one author and name in a class's 16
HUGE = 20_000_000  # pixels: read alone
SHARD = 512
TWICE_BELOW = 60  # training drawings of a class
QUALITY = 85
FOLDER_CAP, FLAG_CAP, NAME_CAP, CLASS_NAME_CAP = 120, 150, 8, 24
TEMPLATES = ["a drawing of a {}", "a drawing, {}", "a picture of a {}", "{}"]


class Curation:
    def __init__(self, path):
        self.tables = collections.defaultdict(dict)
        with open(path, encoding="ascii") as f:
            for line in f:
                if not line.startswith("#"):
                    kind, key, value = line.rstrip("\n").split("\t")
                    self.tables[kind][key] = value
        self.classes = sorted(set(self.tables["class"].values()) - {"-"})

    def by_prefix(self, kind, path):
        t = self.tables[kind]
        hit = max((k for k in t if path.startswith(k)), key=len, default=None)
        return t[hit] if hit is not None and t[hit] != "-" else ""

    def skips(self, path):
        return any(path.startswith(k) for k in self.tables["skip"])

    def name(self, raw):
        return self.tables["name"].get(raw, raw)


# ---- reading ----


def read_one(args):
    return load(*args)


def read_all(root, curation):
    paths = sorted(
        os.path.relpath(os.path.join(d, f), root)
        for d, _, names in os.walk(root)
        for f in names
        if f.lower().endswith(".png")
    )
    left = [p for p in paths if not curation.skips(p)]
    why = collections.Counter({"files": len(paths), "skipped by folder": len(paths) - len(left)})
    huge = {p for p in left if pixels(root, p) > HUGE}
    jobs = [(root, p) for p in left if p not in huge]
    with Pool(2) as pool:
        got = dict(zip((p for _, p in jobs), pool.map(read_one, jobs, chunksize=16)))
    got.update((p, load(root, p)) for p in sorted(huge))  # one at a time: bounded memory
    drawings = []
    for p in left:
        d, reason = got[p]
        why[reason.split(":")[0] or "read"] += 1
        if d:
            drawings.append(d)
    return drawings, why


BLACK_WHITE = re.compile(r"(^|_)(bw|b_w)(_|\.|$)")
COMMON = r"\b(black|white|blue|red|green|yellow|and|the)\b *"


def describe(drawings, curation):
    """Class, topic, name and series; drawings without a name are left out."""
    out = []
    for d in drawings:
        d.label = curation.by_prefix("class", d.path)
        d.topic = d.label or curation.by_prefix("topic", d.path)
        raw = raw_name(d)
        d.name = curation.name(raw)
        if d.label == "flag":
            d.name = flag_name(d.path, raw)
        d.name = tidy(d.name)
        if len(d.name) < 2:  # nothing left, or "-"
            continue
        if BLACK_WHITE.search(os.path.basename(d.path)) and "black and white" not in d.name:
            d.name = f"black and white {d.name}"
        d.series = (d.author, re.sub(COMMON, "", d.name))
        out.append(d)
    return out


# ---- likeness ----


def distances(drawings):
    """White and alpha distance of all pairs, (n, n) of 0..128; 255 where the aspects differ."""
    h = np.stack([d.hashes for d in drawings])
    aspect = np.array([d.aspect for d in drawings])
    apart = abs(aspect[:, None] - aspect[None, :]) > SAME_ASPECT

    def between(i, j):
        bits = np.bitwise_count(h[:, None, i] ^ h[None, :, j])
        return bits + np.bitwise_count(h[:, None, i + 1] ^ h[None, :, j + 1])

    white = np.minimum(between(0, 0), between(0, 4))
    alpha = np.minimum(between(2, 2), between(2, 6))
    white, alpha = np.minimum(white, white.T), np.minimum(alpha, alpha.T)
    white[apart] = alpha[apart] = 255
    return white, alpha


def relations(drawings):
    """near and kin, (n, n) bool. A plain silhouette (box, ellipse, triangle) says nothing."""
    white, alpha = distances(drawings)
    plain = np.array([d.plain for d in drawings])
    telling = ~(plain[:, None] | plain[None, :])
    ids = {s: i for i, s in enumerate(sorted({d.series for d in drawings}))}
    s = np.array([ids[d.series] for d in drawings])
    same = s[:, None] == s[None, :]
    near = (white <= NEAR_WHITE) | ((alpha <= NEAR_ALPHA) & telling)
    kin = near | (white <= KIN_WHITE) | ((alpha <= KIN_ALPHA) & telling)
    kin |= same & ((white <= SERIES_WHITE) | ((alpha <= SERIES_ALPHA) & telling))
    return near, kin


def preferred(d):
    return (
        d.path.startswith("unsorted"),
        not d.label,
        -d.path.count("/"),
        "black and white" in d.name,
        d.path,
    )


def without_duplicates(drawings):
    """Keep the best of every set of near drawings; sorted by path."""
    drawings = sorted(drawings, key=preferred)
    near, _ = relations(drawings)
    dead = np.zeros(len(drawings), bool)
    kept = []
    for i, d in enumerate(drawings):
        if not dead[i]:
            kept.append(d)
            dead |= near[i]
    return sorted(kept, key=lambda d: d.path)


# ---- choosing ----


def hold_out(drawings, kin, classes, rng):
    """Indices of the test drawings: 16 a class, unrelated to each other, with few kin at large."""
    test = []
    for c in classes:
        mine = [i for i, d in enumerate(drawings) if d.label == c and d.solid]
        mine = [mine[k] for k in rng.permutation(len(mine))]
        mine.sort(key=lambda i: min(int(kin[i].sum()) - 1, 3))
        chosen, seen = [], collections.Counter()
        for i in mine:
            series = drawings[i].series
            free = not kin[i, chosen + test].any() and seen[series] < SERIES_CAP
            if len(chosen) < TEST_PER_CLASS and free:
                chosen.append(i)
                seen[series] += 1
        if len(chosen) < TEST_PER_CLASS:
            sys.exit(f"class {c}: only {len(chosen)} drawings to hold out")
        test += chosen
    return test


def for_training(drawings, kin, test, rng):
    """Indices of the training drawings: no kin of the test's, no folder or name with too many."""
    related = kin[test].any(0)
    free = [i for i in range(len(drawings)) if not related[i]]
    folders, names, out = collections.Counter(), collections.Counter(), []
    for i in (free[k] for k in rng.permutation(len(free))):
        d = drawings[i]
        folder = "flags" if d.label == "flag" else os.path.dirname(d.path)
        cap = FLAG_CAP if d.label == "flag" else FOLDER_CAP
        if folders[folder] < cap and names[d.name] < (CLASS_NAME_CAP if d.label else NAME_CAP):
            folders[folder] += 1
            names[d.name] += 1
            out.append(i)
    return sorted(out), int(related.sum()) - len(test)


def copies(d, train):
    """Backgrounds a training drawing is shown on: two in the smaller classes."""
    return 2 if d.label and sum(t.label == d.label for t in train) < TWICE_BELOW else 1


# ---- captions ----

PALETTE = {
    "black": (20, 20, 20),
    "white": (245, 245, 245),
    "gray": (140, 140, 140),
    "red": (205, 30, 35),
    "orange": (245, 140, 25),
    "yellow": (245, 225, 50),
    "green": (50, 150, 60),
    "blue": (40, 80, 190),
    "light blue": (130, 190, 235),
    "purple": (125, 50, 145),
    "pink": (240, 150, 180),
    "brown": (125, 75, 35),
    "beige": (225, 195, 150),
}


def colours(d):
    """The one or two colours that cover most of the drawing, as words."""
    p = d.rgba[d.rgba[..., 3] > 200][:, :3].astype(np.float64)
    dist = ((p[:, None, :] - np.array(list(PALETTE.values()))[None]) ** 2).sum(2)
    share = np.bincount(dist.argmin(1), minlength=len(PALETTE)) / len(p)
    names, order = list(PALETTE), np.argsort(-share, kind="stable")
    return " and ".join(names[k] for k in order[:2] if share[k] >= (0.3 if k == order[0] else 0.22))


MASS = set(
    """bread milk coffee butter cheese honey pasta bacon rain snow money paper salad soap lightning
    ink people aerobics judo breakdance garlic fruit jazz jupiter saturn venus mars dice lasagna
    salami gardening clothing""".split()
)
ONE = set(
    """glass bus dress cactus gas hourglass spyglass cross chess abacus bass walrus compass lens
    platypus mantis grass headquarters iris tennis christmas""".split()
)
OF = " (?:of|with|in|on|from|at|through|over|for|by|drawn|under|before|doing) "
HUE = "(?:black|white|gray|red|orange|yellow|green|light blue|blue|purple|pink|brown|beige)"
MANY = ("the ", "two ", "four ", "six ", "various ")


def article(name):
    """The name with a or an, if it is one thing that can be counted."""
    bare = re.sub(f"^{HUE}(?: and {HUE})? ", "", name)
    head = re.split(OF, bare)[0]
    last = head.split()[-1]
    plural = last.endswith("s") and last not in ONE
    if bare.startswith(MANY) or last in MASS or " and " in head or plural:
        return name
    an = re.match(r"[aeio]|u(?!n[ai]|s[abe]|kr)|x |x[bm]|lcd|rpm|rss|ml", name)
    return ("an " if an else "a ") + name


def caption_all(drawings):
    """Drawings that share a name get their colours in front of it."""
    count = collections.Counter(d.name for d in drawings)
    for d in drawings:
        name = d.name
        if count[name] > 1 and not name.startswith("the "):
            hue = colours(d)
            if hue and not set(hue.split()) & set(name.split()):
                name = f"{hue} {name}"
        d.caption = f"a drawing of {article(name)}"
        if d.topic and d.topic not in name.split():
            d.caption += f", {d.topic}"


# ---- writing ----


def member(name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def encode(rgb, seg):
    picture, mask = io.BytesIO(), io.BytesIO()
    Image.fromarray(rgb).save(picture, "WEBP", quality=QUALITY, method=6)
    Image.fromarray(seg).save(mask, "PNG", optimize=True)
    return picture.getvalue(), mask.getvalue()


def sample(key, d, others, copy, classes):
    """One sample's members as bytes, its gray picture and its class map."""
    rng = np.random.default_rng([SEED, zlib.crc32(d.path.encode()), copy])
    rgb, seg, kind = compose.compose(d.rgba, others, rng)
    picture, mask = encode(rgb, seg)
    data = member(f"{key}.webp", picture) + member(f"{key}.txt", (d.caption + "\n").encode())
    data += member(f"{key}.seg.png", mask)
    if d.label:
        data += member(f"{key}.cls", b"%d\n" % classes.index(d.label))
    with Image.open(io.BytesIO(picture)) as im:
        decoded = np.asarray(im.convert("RGB"))
    return data, compose.gray(decoded), seg, kind


def write_shards(out, split, rows, others, classes):
    """rows: (key, drawing, copy). Returns gray pictures, class maps, kinds."""
    grays, segs, kinds, shard = [], [], collections.Counter(), []
    for n, (key, d, copy) in enumerate(rows):
        data, g, seg, kind = sample(key, d, others, copy, classes)
        grays.append(g)
        segs.append(seg)
        kinds[kind] += 1
        shard.append(data)
        if len(shard) == SHARD or n == len(rows) - 1:
            path = os.path.join(out, f"{split}-{n // SHARD:04d}.tar")
            with open(path, "wb") as f:
                f.write(b"".join(shard) + bytes(1024))
            shard = []
    return np.stack(grays), np.stack(segs), dict(sorted(kinds.items()))


# ---- checking ----


def iou(pred, seg):
    """Mean over pictures of the drawing's IoU, ignored pixels left out; pred (n, h, w) bool."""
    true, known = seg == 1, seg != compose.IGNORE
    both, either = (pred & true).sum((1, 2)), ((pred | true) & known).sum((1, 2))
    return float((both / np.maximum(either, 1)).mean())


def baselines(train_seg, gray, seg):
    known = (train_seg != compose.IGNORE).sum(0)
    mean = (train_seg == 1).sum(0) / np.maximum(known, 1)
    cuts = np.arange(0.02, 1, 0.02)
    fit = max(cuts, key=lambda c: iou(np.broadcast_to(mean >= c, train_seg.shape), train_seg))
    each = [compose.best_threshold(g, s) for g, s in zip(gray, seg)]
    single = [iou(g, seg) for t in range(0, 256, 2) for g in (gray <= t, gray > t)]
    return {
        "mean mask, cut chosen on train": iou(np.broadcast_to(mean >= fit, seg.shape), seg),
        "everything is drawing": iou(np.ones(seg.shape, bool), seg),
        "one gray threshold for all, chosen on test": max(single),
        "gray threshold chosen for each picture by its answer": float(np.mean(each)),
    }


def thumbnails(drawings):
    """(n, 432) f32: 12 x 12 RGB on white."""
    small = [Image.fromarray(d.rgba).resize((12, 12), Image.Resampling.BOX) for d in drawings]
    t = np.stack([np.asarray(s, np.float32) for s in small])
    return (t[..., :3] * t[..., 3:] / 255 + 255 - t[..., 3:]).reshape(len(drawings), -1)


def check(train, test):
    """Brute force over the final sets: no near pair anywhere, no kin across. Exits when wrong."""
    both, n = train + test, len(train)
    near, kin = relations(both)
    np.fill_diagonal(near, False)
    t = thumbnails(both)
    sq = (t * t).sum(1)
    rms = np.sqrt(np.maximum(sq[:, None] + sq[None, :] - 2 * t @ t.T, 0) / t.shape[1])
    np.fill_diagonal(rms, 1e9)
    found = {
        "near pairs in train": int(near[:n, :n].sum()) // 2,
        "near pairs in test": int(near[n:, n:].sum()) // 2,
        "near pairs across": int(near[:n, n:].sum()),
        "kin pairs across": int(kin[:n, n:].sum()),
        "source files in both": len({d.path for d in train} & {d.path for d in test}),
    }
    if any(found.values()):
        sys.exit(f"check failed: {found}")
    found["least rms colour difference of 12x12 thumbnails, of 255"] = {
        "in train": round(float(rms[:n, :n].min()), 1),
        "in test": round(float(rms[n:, n:].min()), 1),
        "across": round(float(rms[:n, n:].min()), 1),
    }
    names = {d.name for d in train}
    found["test drawings whose name a training drawing has"] = sum(d.name in names for d in test)
    return found


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def caption_counts(drawings):
    caps = collections.Counter(d.caption for d in drawings)
    lengths = sorted(len(d.caption.split()) for d in drawings)
    return {
        "drawings": len(drawings),
        "distinct": len(caps),
        "most often": caps.most_common(3),
        "words: least, median, most": [lengths[0], lengths[len(lengths) // 2], lengths[-1]],
        "vocabulary": len({w for d in drawings for w in re.findall(r"[a-z0-9'-]+", d.caption)}),
    }


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--source", default="/usr/share/openclipart/png")
    ap.add_argument("--out", default=HERE)
    args = ap.parse_args()
    curation = Curation(os.path.join(HERE, "curation.tsv"))
    classes = curation.classes
    drawings, report = read_all(args.source, curation)
    report = {"read": dict(report)}
    drawings = describe(drawings, curation)
    report["named"] = len(drawings)
    drawings = without_duplicates(drawings)
    report["without near-duplicates"] = len(drawings)
    _, kin = relations(drawings)
    rng = np.random.default_rng(SEED)
    test_i = hold_out(drawings, kin, classes, rng)
    train_i, report["dropped as kin of test"] = for_training(drawings, kin, test_i, rng)
    train, test = [drawings[i] for i in train_i], [drawings[i] for i in test_i]
    report["check"] = check(train, test)
    caption_all(train + test)
    others = [d.rgba for d in train]
    rows = [(d, c) for d in train for c in range(copies(d, train))]
    rows = [rows[k] for k in rng.permutation(len(rows))]
    rows = [(f"train{n:05d}", d, c) for n, (d, c) in enumerate(rows)]
    test_rows = [(f"test{n:05d}", d, 0) for n, d in enumerate(test)]
    _, train_seg, kinds = write_shards(args.out, "train", rows, others, classes)
    gray, seg, test_kinds = write_shards(args.out, "test", test_rows, others, classes)
    finish(
        args.out,
        report,
        rows,
        test_rows,
        classes,
        {
            "backgrounds": {"train": kinds, "test": test_kinds},
            "baselines, IoU on test": {
                k: round(v, 3) for k, v in baselines(train_seg, gray, seg).items()
            },
        },
    )


def finish(out, report, rows, test_rows, classes, measured):
    """classes.json, index.tsv and report.json; prints the report."""
    train, test = {d.path: d for _, d, _ in rows}, {d.path: d for _, d, _ in test_rows}
    report["samples"] = {"train": len(rows), "test": len(test_rows)}
    labels = collections.Counter(d.label for d in train.values())
    report["training drawings of a class"] = {c: labels[c] for c in classes}
    report["training drawings of no class"] = labels[""]
    folders = collections.Counter(os.path.dirname(p) for p in train)
    report["largest folders in train"] = folders.most_common(5)
    sets = {"train": train, "test": test}
    report["captions"] = {k: caption_counts(list(v.values())) for k, v in sets.items()}
    report.update(measured)
    with open(os.path.join(out, "classes.json"), "w", encoding="ascii") as f:
        prompts = [f"a drawing of {article(c)}" for c in classes]
        json.dump({"classes": classes, "prompts": prompts, "templates": TEMPLATES}, f, indent=1)
        f.write("\n")
    with open(os.path.join(out, "index.tsv"), "w", encoding="utf-8") as f:
        f.write("key\tclass\tsource\tauthor\tcaption\n")
        for key, d, _ in rows + test_rows:
            author = re.sub(r"\S*@\S*|[^\w .,'&-]", " ", fold(d.author))  # no addresses
            author = " ".join(author.split()).strip(" -")
            f.write(f"{key}\t{d.label or '-'}\t{d.path}\t{author or '-'}\t{d.caption}\n")
    tars = sorted(f for f in os.listdir(out) if f.endswith(".tar"))
    report["bytes"] = {f: os.path.getsize(os.path.join(out, f)) for f in tars}
    report["sha256"] = {f: sha256(os.path.join(out, f)) for f in tars + ["index.tsv"]}
    with open(os.path.join(out, "report.json"), "w", encoding="ascii") as f:
        json.dump(report, f, indent=1)
        f.write("\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
