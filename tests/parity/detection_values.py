#!/usr/bin/env python3
"""The numbers of tests/unit/frontend/test_detection.c: losses and average precision of the boxes,
grids and answers that the test draws, by plain loops over boxes, written from the papers and apart
from the library. Needs nothing but Python.
"""
from fractions import Fraction
from math import exp, log

PICTURES, LABELS, ANSWERS, CLASSES = 6, 4, 8, 3
BATCH = 3
WIDTH, HEIGHT, ACROSS, DOWN = 32, 24, 4, 3
STEP = 8

state = 123


def draw(below):
    global state
    state = (state * 1664525 + 1013904223) % 2**32
    return (state >> 8) % below


class Label:
    pass


class Picture:
    pass


def draw_label(there):
    b = Label()
    w, h = 4 + draw(18), 4 + draw(16)
    x, y = draw(WIDTH + 1 - w), draw(HEIGHT + 1 - h)
    b.box, b.kind = [x, y, x + w, y + h], draw(CLASSES)
    return b if there else None


def draw_answer(labels, i):
    a = Label()
    label, near, other = labels[draw(LABELS)], draw(4), draw(8)
    a.box = [draw(16), draw(12), 17 + draw(16), 13 + draw(12)]
    a.kind = draw(CLASSES)
    if label and near:
        a.box = [x + Fraction(draw(9) - 4, 2) for x in label.box]
        a.kind = label.kind if other else a.kind
    a.score = Fraction(1000 - 120 * i - draw(100), 1024)
    return a


def tell(s, label):
    """Let the place in which a label's centre lies say it, about."""
    x, y = (Fraction(label.box[k] + label.box[k + 2], 2) for k in range(2))
    i = int(y // STEP) * ACROSS + int(x // STEP)
    s.grid[0][i] = x / STEP - i % ACROSS - Fraction(1, 2) + Fraction(draw(3) - 1, 8)
    s.grid[1][i] = y / STEP - i // ACROSS - Fraction(1, 2)
    for k in range(2):
        s.grid[2 + k][i] = Fraction(round(log((label.box[k + 2] - label.box[k]) / STEP) * 4), 4)
    s.grid[4 + label.kind][i] += 1


def draw_picture(p):
    s = Picture()
    s.labelled, n = draw(5) > 0, 0 if p == 3 else 1 + draw(4)
    s.labels = [draw_label(s.labelled and m < n) for m in range(LABELS)]
    s.grid = []
    for k in range(4 + CLASSES):
        draws = (17, 8, 8) if k < 2 else (17, 0, 16) if k < 4 else (129, 96, 32)
        s.grid.append([Fraction(draw(draws[0]) - draws[1], draws[2]) for _ in range(ACROSS * DOWN)])
    for label in s.labels:
        if label:
            tell(s, label)
    answers = [draw_answer(s.labels, i) for i in range(ANSWERS)]
    s.answers = answers[: 5 + draw(4)]
    return s


def area(b):
    return max(b[2] - b[0], 0) * max(b[3] - b[1], 0)


def iou(a, b):
    both = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    return both / (area(a) + area(b) - both) if both else 0


def giou(a, b):
    hull = area([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])])
    both = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    either = area(a) + area(b) - both
    return both / either - (hull - either) / hull


def said_box(s, i):
    dx, dy, w, h = (float(s.grid[k][i]) for k in range(4))
    x = (i % ACROSS + 0.5) * STEP + dx * STEP
    y = (i // ACROSS + 0.5) * STEP + dy * STEP
    w, h = STEP * exp(w), STEP * exp(h)
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def owner(s, i):
    """The smallest label near whose centre place i is."""
    at = [Fraction(2 * (i % ACROSS) + 1, 2) * STEP, Fraction(2 * (i // ACROSS) + 1, 2) * STEP]
    best = None
    for label in s.labels:
        if not label:
            continue
        near = True
        for k in range(2):
            side = label.box[k + 2] - label.box[k]
            reach = max(Fraction(STEP, 2), min(Fraction(3 * STEP, 2), Fraction(side, 2)))
            near &= abs(at[k] - Fraction(label.box[k] + label.box[k + 2], 2)) <= reach
        if near and (not best or area(label.box) < area(best.box)):
            best = label
    return best


def loss(pictures, gamma=2, alpha=0.25):
    total, positives = 0.0, 0
    for s in pictures:
        if not s.labelled:
            continue
        for i in range(ACROSS * DOWN):
            label = owner(s, i)
            for c in range(CLASSES):
                p = 1 / (1 + exp(-float(s.grid[4 + c][i])))
                if label and label.kind == c:
                    total += alpha * (1 - p) ** gamma * -log(p)
                else:
                    total += (1 - alpha) * p**gamma * -log(1 - p)
            if label:
                positives += 1
                total += 1 - giou(said_box(s, i), label.box)
    return total / positives


def decoded(s, most=6, first=20, overlap=0.6):
    """The boxes that the grid says: the likeliest, without those that overlap a better one."""
    every = []
    for i in range(ACROSS * DOWN):
        for c in range(CLASSES):
            every.append((-s.grid[4 + c][i], i * CLASSES + c))
    kept = []
    for logit, place in sorted(every)[:first]:
        a = Label()
        box = said_box(s, place // CLASSES)
        limits = [WIDTH, HEIGHT, WIDTH, HEIGHT]
        a.box = [min(max(x, 0), m) for x, m in zip(box, limits)]
        a.kind, a.score = place % CLASSES, 1 / (1 + exp(float(logit)))
        if all(b.kind != a.kind or iou(a.box, b.box) <= overlap for b in kept):
            kept.append(a)
    return kept[:most]


def right_answers(answers, labels, least):
    """Of answers by falling score: is its best label good enough, and not taken?"""
    taken, right = set(), []
    for a in answers:
        best, at = -1, None
        for m, label in enumerate(labels):
            if label and label.kind == a.kind and iou(a.box, label.box) > best:
                best, at = iou(a.box, label.box), m
        good = best >= least and at not in taken
        if good:
            taken.add(at)
        right.append(good)
    return right


def average_precision(found, kind, least):
    """Answers of all pictures by their step of 1 / 1000, 101 levels of recall."""
    steps, labels = {}, 0
    for s, answers in found:
        labels += sum(1 for b in s.labels if b and b.kind == kind)
        for a, good in zip(answers, right_answers(answers, s.labels, least)):
            if a.kind != kind:
                continue
            step = steps.setdefault(int(min(a.score * 1000, 999)), [0, 0])
            step[0] += good
            step[1] += 1
    if not labels:
        return None
    hits, said, points = 0, 0, []
    for step in sorted(steps, reverse=True):
        hits, said = hits + steps[step][0], said + steps[step][1]
        points.append((Fraction(hits, labels), Fraction(hits, said)))
    levels = [max([p for r, p in points if r >= Fraction(k, 100)], default=0) for k in range(101)]
    return sum(levels) / 101


def mean_ap(found, least):
    each = [average_precision(found, c, least) for c in range(CLASSES)]
    each = [x for x in each if x is not None]
    return sum(each) / len(each)


def report(name, found):
    found = [(s, answers) for s, answers in found if s.labelled]
    ap = [float(mean_ap(found, Fraction(50 + 5 * t, 100))) for t in range(10)]
    print(f"{name} ap50 {ap[0]:.9f} ap {sum(ap) / 10:.9f}")


def main():
    pictures = [draw_picture(p) for p in range(PICTURES)]
    for r in range(0, PICTURES, BATCH):
        batch = pictures[r : r + BATCH]
        print(f"batch {r // BATCH}: loss {loss(batch):.9f}")
    report("det", [(s, decoded(s)) for s in pictures])
    report("stored", [(s, s.answers) for s in pictures])


main()
