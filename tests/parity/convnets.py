"""Image encoders of convolutions in PyTorch, whose parameters are called as those of
graphs/lib/encoders."""
import torch
import torch.nn.functional as F
from torch import nn


def draw_values(model, seed):
    """Values that f32 holds, at no special place: scales of norms and of layers about 1 and 1/2,
    variances above 0."""
    g = torch.Generator().manual_seed(seed)
    for name, x in [*model.named_parameters(), *buffers(model)]:
        y = torch.randn(x.shape, generator=g)
        layer = model.get_submodule(name.rpartition(".")[0])
        if name.endswith("running_var"):
            y = 0.5 + y.abs()
        elif isinstance(layer, (nn.BatchNorm2d, nn.LayerNorm)):
            y = (1 if name.endswith("weight") else 0) + 0.2 * y
        elif "layer_scale" in name or "gamma" in name:
            y = 0.5 + 0.2 * y
        else:
            y = y * (y[0].numel() ** -0.5 if y.dim() > 1 else 0.2)
        x.data = y.double()


def buffers(model):
    return [(name, x) for name, x in model.named_buffers() if x.dtype.is_floating_point]


def conv(inside, out, size=3, stride=1, bias=False, groups=1, pad=None):
    pad = size // 2 if pad is None else pad
    return nn.Conv2d(inside, out, size, stride, pad, groups=groups, bias=bias)


class ConvBn(nn.Module):
    def __init__(self, inside, out, size=3, stride=1, groups=1):
        super().__init__()
        self.conv, self.bn = conv(inside, out, size, stride, groups=groups), nn.BatchNorm2d(out)

    def forward(self, x):
        return self.bn(self.conv(x))


def stages_of(make, layers):
    """stages.I.blocks.K: make(stage, block)."""
    return nn.ModuleList(nn.ModuleDict({"blocks": nn.ModuleList(make(i, k) for k in range(n))})
                         for i, n in enumerate(layers))


def run_stages(stages, x, before=lambda i, x: x):
    maps = []
    for i, stage in enumerate(stages):
        x = before(i, x)
        for block in stage["blocks"]:
            x = block(x)
        maps.append(x)
    return maps


# ---- residual networks --------------------------------------------------------------------------


class Residual(nn.Module):
    """kind: basic, bottleneck, or clip, which strides by means."""

    def __init__(self, kind, inside, width, stride):
        super().__init__()
        self.pool = stride if kind == "clip" else 1
        stride = 1 if kind == "clip" else stride
        self.out = width if kind == "basic" else 4 * width
        if kind == "basic":
            self.conv1, self.conv2 = conv(inside, width, 3, stride), conv(width, width)
            self.conv3 = None
        else:
            self.conv1, self.conv2 = conv(inside, width, 1), conv(width, width, 3, stride)
            self.conv3 = conv(width, self.out, 1)
            self.bn3 = nn.BatchNorm2d(self.out)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        other = stride * self.pool > 1 or inside != self.out
        self.downsample = ConvBn(inside, self.out, 1, stride) if other else None

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.conv3:
            y = F.relu(y)
            y = self.bn3(self.conv3(F.avg_pool2d(y, self.pool) if self.pool > 1 else y))
        if self.downsample:
            x = self.downsample(F.avg_pool2d(x, self.pool) if self.pool > 1 else x)
        return F.relu(y + x)


def residual_stages(kind, layers, inside, width):
    def make(i, k):
        grown = 1 if kind == "basic" else 4
        before = width * 2 ** i * grown if k else width * 2 ** (i - 1) * grown if i else inside
        return Residual(kind, before, width * 2 ** i, 2 if i > 0 and k == 0 else 1)
    return stages_of(make, layers), width * 2 ** (len(layers) - 1) * (1 if kind == "basic" else 4)


class ResNet(nn.Module):
    def __init__(self, layers, width, embed, basic):
        super().__init__()
        self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        self.stages, out = residual_stages("basic" if basic else "bottleneck", layers, width, width)
        self.embed_image = nn.Linear(out, embed, bias=False)

    def forward(self, image):
        maps = run_stages(self.stages, F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1))
        return self.embed_image(maps[-1].mean((2, 3))), maps


class AttentionPool(nn.Module):
    """side: of the grid that the positions are of."""

    def __init__(self, width, heads, out, side):
        super().__init__()
        self.heads, self.side = heads, side
        self.positional_embedding = nn.Parameter(torch.empty(side * side + 1, width))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, out)

    def forward(self, x):
        b, d, h, w = x.shape
        pos = self.positional_embedding
        if (h, w) != (self.side, self.side):
            grid = pos[1:].T.reshape(1, d, self.side, self.side)
            grid = F.interpolate(grid, size=(h, w), mode="bilinear", align_corners=False)
            pos = torch.cat([pos[:1], grid.flatten(2)[0].T])
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1) + pos
        q, k, v = (f(y).view(b, -1, self.heads, d // self.heads).transpose(1, 2)
                   for f, y in ((self.q_proj, x[:, :1]), (self.k_proj, x), (self.v_proj, x)))
        return self.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, d))


class ClipResNet(nn.Module):
    def __init__(self, layers, width, embed, heads, side):
        super().__init__()
        self.conv1, self.bn1 = conv(3, width // 2, 3, 2), nn.BatchNorm2d(width // 2)
        self.conv2, self.bn2 = conv(width // 2, width // 2), nn.BatchNorm2d(width // 2)
        self.conv3, self.bn3 = conv(width // 2, width), nn.BatchNorm2d(width)
        self.stages, out = residual_stages("clip", layers, width, width)
        self.attnpool = AttentionPool(out, heads, embed, side)

    def forward(self, image):
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(image))))))
        maps = run_stages(self.stages, F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2))
        return self.attnpool(maps[-1]), maps


# ---- MobileCLIP ---------------------------------------------------------------------------------


class Branches(nn.Module):
    def __init__(self, inside, out, size=3, stride=1, apart=False):
        super().__init__()
        groups = inside if apart else 1
        self.rbr_conv = nn.ModuleList([ConvBn(inside, out, size, stride, groups)])
        self.rbr_scale = ConvBn(inside, out, 1, stride, groups) if size > 1 else None
        self.rbr_skip = nn.BatchNorm2d(inside) if stride == 1 and inside == out else None

    def forward(self, x):
        return sum(f(x) for f in (self.rbr_conv[0], self.rbr_scale, self.rbr_skip) if f)


class SqueezeExcite(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.reduce = conv(width, hidden, 1, bias=True)
        self.expand = conv(hidden, width, 1, bias=True)

    def forward(self, x):
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class ConvFfn(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = ConvBn(width, width, 7, groups=width)
        self.fc1 = conv(width, 3 * width, 1, bias=True)
        self.fc2 = conv(3 * width, width, 1, bias=True)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(self.conv(x))))


def scale(width):
    return nn.Parameter(torch.empty(width, 1, 1))


class RepMixer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.ModuleDict({"rbr_skip": nn.BatchNorm2d(width)})
        self.mixer, self.layer_scale = Branches(width, width, apart=True), scale(width)

    def forward(self, x):
        return x + self.layer_scale * (self.mixer(x) - self.norm["rbr_skip"](x))


class RepMixerBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.token_mixer, self.convffn = RepMixer(width), ConvFfn(width)
        self.layer_scale = scale(width)

    def forward(self, x):
        x = self.token_mixer(x)
        return x + self.layer_scale * self.convffn(x)


class PlaceAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)

    def forward(self, x):
        b, d, h, w = x.shape
        qkv = self.qkv(x.flatten(2).transpose(1, 2)).view(b, h * w, 3, d // 32, 32)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, d)
        return self.proj(y).transpose(1, 2).reshape(b, d, h, w)


class PlaceAttentionBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.token_mixer = nn.BatchNorm2d(width), PlaceAttention(width)
        self.convffn = ConvFfn(width)
        self.layer_scale_1, self.layer_scale_2 = scale(width), scale(width)

    def forward(self, x):
        x = x + self.layer_scale_1 * self.token_mixer(self.norm(x))
        return x + self.layer_scale_2 * self.convffn(x)


class MobileDown(nn.Module):
    def __init__(self, inside, out, excite):
        super().__init__()
        self.lkb_origin, self.small_conv = (ConvBn(inside, out, size, 2, inside) for size in (7, 3))
        self.se = SqueezeExcite(out, out // 4) if excite else nn.Identity()
        self.mix = Branches(out, out, 1)

    def forward(self, x):
        return F.gelu(self.mix(F.gelu(self.se(self.lkb_origin(x) + self.small_conv(x)))))


class MobileClip(nn.Module):
    def __init__(self, layers, width, embed):
        super().__init__()
        self.stem = nn.ModuleList([Branches(3, width, 3, 2), Branches(width, width, 3, 2, True),
                                   Branches(width, width, 1)])
        last = len(layers) - 1
        out = width * 2 ** last
        blocks = [PlaceAttentionBlock if i == last else RepMixerBlock for i in range(last + 1)]
        self.stages = stages_of(lambda i, k: blocks[i](width * 2 ** i), layers)
        for i in range(1, len(layers)):
            self.stages[i]["down"] = MobileDown(width * 2 ** (i - 1), width * 2 ** i, i >= 2)
        self.stages[last]["position"] = conv(out, out, 7, bias=True, groups=out)
        self.conv_exp = Branches(out, 2 * out, apart=True)
        self.conv_exp.add_module("se", SqueezeExcite(2 * out, out // 8))
        self.embed_image = nn.Linear(2 * out, embed, bias=False)

    def forward(self, image):
        for block in self.stem:
            image = F.gelu(block(image))

        def before(i, x):
            x = self.stages[i]["down"](x) if i else x
            return x + self.stages[i]["position"](x) if i == len(self.stages) - 1 else x

        maps = run_stages(self.stages, image, before)
        x = F.gelu(self.conv_exp.se(self.conv_exp(maps[-1])))
        return self.embed_image(x.mean((2, 3))), maps


# ---- ConvNeXt -----------------------------------------------------------------------------------


class ChannelNorm(nn.LayerNorm):
    """Over the channels of (B, C, h, w)."""

    def __init__(self, width):
        super().__init__(width, eps=1e-6)

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv_dw = conv(width, width, 7, bias=True, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width),
                                  "fc2": nn.Linear(4 * width, width)})
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x):
        y = self.norm(self.conv_dw(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.mlp["fc2"](F.gelu(self.mlp["fc1"](y)))).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    def __init__(self, layers, width, embed):
        super().__init__()
        self.stem = nn.Sequential(conv(3, width, 4, 4, True, pad=0), ChannelNorm(width))
        self.stages = stages_of(lambda i, k: ConvNextBlock(width * 2 ** i), layers)
        for i in range(1, len(layers)):
            inside, out = width * 2 ** (i - 1), width * 2 ** i
            down = conv(inside, out, 2, 2, True, pad=0)
            self.stages[i]["downsample"] = nn.Sequential(ChannelNorm(inside), down)
        out = width * 2 ** (len(layers) - 1)
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(out, eps=1e-6)})
        self.embed_image = nn.Linear(out, embed, bias=False)

    def forward(self, image):
        maps = run_stages(self.stages, self.stem(image),
                          lambda i, x: self.stages[i]["downsample"](x) if i else x)
        return self.embed_image(self.head["norm"](maps[-1].mean((2, 3)))), maps
