#!/usr/bin/env python3
"""The convolutions of a ResNet-50, one by one, beside PyTorch's (channels last, one thread).

    torch_convolutions.py [--cztc build/cztc] [--batch 8] [LAYER..]

For each layer the result (y) and the gradients of its input (dx) and weights (dw), by turns.
Shown are processor seconds of the process, so that other work on the machine counts little: of
cztc (packing included) the difference of runs of 1 and of 9 steps by 8. Needs torch alone.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch
import torch.nn.functional as F

LAYERS = {  # side, channels in and out, size of the filter, stride, padding
    "7x7/2 3-64": (224, 3, 64, 7, 2, 3),
    "1x1 64-256": (56, 64, 256, 1, 1, 0),
    "1x1 1024-256": (14, 1024, 256, 1, 1, 0),
    "3x3 64-64": (56, 64, 64, 3, 1, 1),
    "3x3 128-128": (28, 128, 128, 3, 1, 1),
    "3x3 512-512": (7, 512, 512, 3, 1, 1),
    "3x3/2 128-128": (56, 128, 128, 3, 2, 1),
}


def program(batch, layer, what):
    """One layer, the loss sum(y * g), and the output that is asked for."""
    h, ci, co, k, s, p = layer
    o = (h + 2 * p - k) // s + 1
    x, y = f"f32[{batch}b, {h}, {h}, {ci}]", f"f32[{batch}b, {o}, {o}, {co}]"
    w = f"f32[{co}, {ci}, {k}, {k}]"
    wide = f"f32[{batch}b, {o}, {o}, {k}, {k}, {ci}]"
    outputs = {"y": 'output "y" %y', "dx": f'%dx = grad %l, %x : {x}\n  output "dx" %dx',
               "dw": f'%dw = grad %l, %w : {w}\n  output "dw" %dw'}
    return f"""program "layer" batch={batch} steps=1 seed=0
state param "w" {w} trainable
entry "step" {{
  %x = input {{name="x"}} : {x}
  %g = input {{name="g"}} : {y}
  %w = state {{name="w"}} : {w}
  %z = const {{value=0}} : f32[]
  %b = broadcast %x {{axes=[0, 1, 2, 5]}} : f32[{batch}b, {h}, {h}, {k}, {k}, {ci}]
  %s = skew %b, %z {{axes=[1, 2], along=[3, 4], lo=[{-p}, {-p}], stride=[{s}, {s}]}} : {wide}
  %y = dot %s, %w {{lc=[3, 4, 5], rc=[2, 3, 1]}} : {y}
  %m = mul %y, %g : {y}
  %l = sum %m {{axes=[0, 1, 2, 3], cross=1}} : f32[]
  {outputs[what]}
}}
"""


def seconds(cztc, step, steps):
    p = subprocess.Popen([cztc, "run", step, "-n", str(steps), "--threads", "1"],
                         stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(p.pid, 0)
    assert status == 0, step
    return used.ru_utime + used.ru_stime


def torch_call(batch, layer, what):
    h, ci, co, k, s, p = layer
    o = (h + 2 * p - k) // s + 1

    def tensor(*shape):
        return torch.randn(*shape).contiguous(memory_format=torch.channels_last)

    x, w, g = tensor(batch, ci, h, h), tensor(co, ci, k, k), tensor(batch, co, o, o)
    if what == "y":
        return lambda: F.conv2d(x, w, stride=s, padding=p)
    wanted = [what == "dx", what == "dw", False]
    return lambda: torch.ops.aten.convolution_backward(
        g, x, w, None, [s, s], [p, p], [1, 1], False, [0, 0], 1, wanted)


def measure(o, layer, what, folder):
    source, step = folder / "layer.ir", folder / "layer.czt"
    source.write_text(program(o.batch, layer, what))
    subprocess.run([o.cztc, "compile", source, "-o", step, "--no-cache"], check=True,
                   stdout=subprocess.DEVNULL)
    call, theirs, ours = torch_call(o.batch, layer, what), [], []
    call()
    for _ in range(o.rounds):
        for _ in range(3):
            t = time.process_time()
            call()
            theirs.append(time.process_time() - t)
        ours.append((seconds(o.cztc, step, 9) - seconds(o.cztc, step, 1)) / 8)
    return statistics.median(theirs), statistics.median(ours)


def main():
    a = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--cztc", default="build/cztc")
    a.add_argument("--batch", type=int, default=8)
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("layers", nargs="*", default=list(LAYERS))
    o = a.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for name in o.layers:
            layer = LAYERS[name]
            side = (layer[0] + 2 * layer[5] - layer[3]) // layer[4] + 1
            flops = 2e-9 * o.batch * side**2 * layer[1] * layer[2] * layer[3]**2
            for what in ("y", "dx", "dw") if layer[1] > 3 else ("y", "dw"):
                t, c = measure(o, layer, what, pathlib.Path(folder))
                print(f"{name:14} {what:3} PyTorch {flops / t:6.1f} GFLOP/s  cztc {flops / c:6.1f}"
                      f"  PyTorch / cztc {t / c:5.2f}", flush=True)


if __name__ == "__main__":
    main()
