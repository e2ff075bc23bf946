"""The embedded foreground network: what in a photo is the object, found coarsely by a small U-Net and sharpened along the photo's edges."""

from __future__ import annotations

import functools
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad, pixel_shuffle, pixel_unshuffle

from img23d.errors import WeightsError
from img23d.priors.backdrop import backdrop_evidence, with_even_holes, without_false_holes
from img23d.priors.foreground_closer import part_about, with_closer
from img23d.priors.foreground_colours import weigh_colours, without_doubted_parts, without_scraps

INPUT_SIZES = (192, 256)  # the smaller sees what belongs together, the larger what is thin
WIDTHS = (24, 48, 96, 160)
WEIGHTS = Path(__file__).parent / "weights" / "foreground.safetensors"
GUIDE_LIMIT = 576  # pixels: longest side at which the edges are sharpened; larger photos reuse the coefficients


class Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm_first = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm_second = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        inner = torch.relu(self.norm_first(self.first(x)))
        return torch.relu(x + self.norm_second(self.second(inner)))


class Glance(nn.Module):
    """Attention over all places of a small grid: what the whole picture shows decides what stands out."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, width)
        self.query_key_value = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        batch, width, height, across = x.shape
        parts = self.query_key_value(self.norm(x)).reshape(batch, 3, self.heads, width // self.heads, -1)
        query, key, value = parts.transpose(-1, -2).unbind(1)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        return x + self.out(seen.transpose(-1, -2).reshape(batch, width, height, across))


class ForegroundNetwork(nn.Module):
    """A U-Net that works at a quarter of its input's resolution and below.

    Args:
        widths: channels at 1/4, 1/8, 1/16 and 1/32 of the input.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(6 * 16, widths[0], 3, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)])
        self.encode = nn.ModuleList([nn.Sequential(Block(width), Block(width, 2)) for width in widths])
        self.glance = Glance(widths[-1])
        self.up = nn.ModuleList([nn.Conv2d(b, a, 1) for a, b in pairwise(widths)])
        self.decode = nn.ModuleList([Block(width) for width in widths[:-1]])
        self.detail = nn.Sequential(nn.Conv2d(6, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=1), nn.ReLU())
        self.coarse = nn.Conv2d(widths[0], 12 * 4, 1)
        self.head = nn.Sequential(nn.Conv2d(24, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4, 1))

    def inner(self) -> list[nn.Module]:
        """The modules between the first and the last layers."""
        return [self.down, self.encode, self.glance, self.up, self.decode]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of being foreground.

        Args:
            x: (B, 6, S, S) from `network_input`; S a multiple of 32.

        Returns:
            (B, 1, S, S).
        """
        inner = torch.relu(self.stem(pixel_unshuffle(x, 4)))
        kept = []
        for level, encode in enumerate(self.encode):
            inner = encode(inner if level == 0 else torch.relu(self.down[level - 1](inner)))
            kept.append(inner)
        inner = self.glance(inner)
        for level in range(len(self.decode) - 1, -1, -1):
            inner = self.decode[level](kept[level] + interpolate(self.up[level](inner), scale_factor=2.0, mode="nearest"))
        fine = self.detail(avg_pool2d(x, 2))
        return pixel_shuffle(self.head(torch.cat([pixel_shuffle(self.coarse(inner), 2), fine], 1)), 2)


def letterbox(rgb: Tensor, size: int = INPUT_SIZES[-1]) -> tuple[Tensor, Tensor, tuple[int, int, int, int]]:
    """Fit a photo into a square without distorting it.

    Args:
        rgb: (H, W, 3) 0..1.
        size: side of the square.

    Returns:
        the picture (1, 3, S, S), grey beside the photo; (1, 1, S, S) 1 inside the photo; and its left, top, width, height in the square.
    """
    height, width = rgb.shape[:2]
    scale = size / max(height, width)
    high, wide = max(1, round(height * scale)), max(1, round(width * scale))
    small = interpolate(rgb.permute(2, 0, 1)[None], (high, wide), mode="area" if scale < 1 else "bilinear")
    left, top = (size - wide) // 2, (size - high) // 2
    border = (left, size - wide - left, top, size - high - top)
    return pad(small, border, value=0.5), pad(torch.ones_like(small[:, :1]), border), (left, top, wide, high)


def network_input(rgb: Tensor, valid: Tensor) -> Tensor:
    """(B, 6, S, S): colours about zero, where the photo is, and where each pixel lies (what is photographed is mostly central).

    Args:
        rgb: (B, 3, S, S) 0..1.
        valid: (B, 1, S, S) 1 inside the photo.
    """
    size = rgb.shape[-1]
    axis = torch.linspace(-1, 1, size, dtype=rgb.dtype, device=rgb.device)
    place = torch.stack(torch.meshgrid(axis, axis, indexing="ij"))[None].expand(len(rgb), -1, -1, -1)
    return torch.cat([(rgb - 0.5) * 4 * valid, valid, place], 1)


@functools.lru_cache(maxsize=2)
def load_network(path: Path = WEIGHTS) -> ForegroundNetwork:
    """The trained network, from half-precision weights.

    Raises:
        WeightsError: the file is missing or does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"cannot read the foreground network's weights {path}", "reinstall img23d, or --set segment.method=rembg"
        ) from error
    network = ForegroundNetwork()
    try:
        network.load_state_dict({name: value.float() if value.is_floating_point() else value for name, value in state.items()})
    except RuntimeError as error:
        raise WeightsError(f"{path} does not hold this version's foreground network", "reinstall img23d") from error
    return network.eval()


@torch.no_grad()
def coarse_alpha(network: ForegroundNetwork, rgb: Tensor) -> Tensor:
    """(h, w) foreground probability at the resolution of the closest look; h, w keep the photo's shape.

    It is the mean, in log odds, of the answers at all input sizes, to the photo and to the part about an object that fills little of it,
    corrected by the photo's colours, without small scraps.
    """
    rgb, (height, width) = rgb.float(), rgb.shape[:2]
    odds = odds_of(network, rgb)
    found = corrected(rgb, odds)
    part = part_about(found, height, width)
    if part is None:
        return found
    closer = odds_of(network, rgb[part.top : part.bottom, part.left : part.right])
    return corrected(rgb, with_closer(odds, closer, part, height, width))


def corrected(rgb: Tensor, odds: Tensor) -> Tensor:
    """(h, w) probability from log odds (h, w), corrected by backdrop and colours of the photo (H, W, 3), without other things."""
    mode = "area" if odds.shape[0] < rgb.shape[0] else "bilinear"
    small = interpolate(rgb.permute(2, 0, 1)[None], odds.shape, mode=mode)[0].permute(1, 2, 0)
    told = odds + backdrop_evidence(small, torch.sigmoid(odds))
    found = without_false_holes(small, weigh_colours(small, torch.sigmoid(told)))
    return without_doubted_parts(without_scraps(with_even_holes(small, found, torch.sigmoid(odds))), odds)


def odds_of(network: ForegroundNetwork, rgb: Tensor) -> Tensor:
    """(h, w) mean log odds of the answers to a photo (H, W, 3) at all input sizes, at the largest of them."""
    answers = [answer_at(network, rgb, size) for size in INPUT_SIZES]
    largest = answers[-1].shape
    return torch.stack(
        [torch.logit(interpolate(seen[None, None], largest, mode="bilinear")[0, 0].clamp(0.002, 0.998)) for seen in answers]
    ).mean(0)


def answer_at(network: ForegroundNetwork, rgb: Tensor, size: int) -> Tensor:
    """(h, w) mean of the answers to the photo, its longer side ``size`` pixels, and to its mirror image."""
    picture, valid, (left, top, wide, high) = letterbox(rgb, size)
    pair = network_input(torch.cat([picture, picture.flip(-1)]), torch.cat([valid, valid.flip(-1)]))
    first, second = torch.sigmoid(network(pair))[:, 0].unbind(0)
    return ((first + second.flip(-1)) / 2)[top : top + high, left : left + wide]


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Means over squares of side ``2 radius + 1`` of (1, C, H, W); windows shrink at the border."""
    across = avg_pool2d(image, (1, 2 * radius + 1), 1, (0, radius), count_include_pad=False)
    return avg_pool2d(across, (2 * radius + 1, 1), 1, (radius, 0), count_include_pad=False)


def guided_coefficients(guide: Tensor, alpha: Tensor, radius: int, smooth: float) -> tuple[Tensor, Tensor]:
    """The local linear model alpha = slope . colour + offset that fits best in every window.

    Args:
        guide: (1, 3, H, W) colours 0..1.
        alpha: (1, 1, H, W).
        radius: half the window's side, pixels.
        smooth: variance of colour below which a window counts as flat.

    Returns:
        slope (1, 3, H, W) and offset (1, 1, H, W), each the mean over the windows that hold the pixel.

    Reference: He, Sun, Tang, "Guided image filtering", 2013, equations 18 and 19 (colour guide).
    """
    mean, mean_alpha = box_mean(guide, radius), box_mean(alpha, radius)
    covariance = box_mean(guide * alpha, radius) - mean * mean_alpha
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    products = box_mean(torch.cat([guide[:, i : i + 1] * guide[:, j : j + 1] for i, j in pairs], 1), radius)
    entry = {pair: products[0, k] - mean[0, pair[0]] * mean[0, pair[1]] for k, pair in enumerate(pairs)}
    a, b, c = entry[0, 0] + smooth, entry[0, 1], entry[0, 2]
    d, e, f = entry[1, 1] + smooth, entry[1, 2], entry[2, 2] + smooth
    # The inverse of a symmetric 3 x 3 matrix, written out: a batched solve would be 20 times slower.
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * first + b * second + c * third
    x, y, z = covariance[0]
    slope = torch.stack([
        first * x + second * y + third * z,
        second * x + (a * f - c * c) * y + (b * c - a * e) * z,
        third * x + (b * c - a * e) * y + (a * d - b * b) * z,
    ])[None] / determinant  # fmt: skip
    offset = mean_alpha - (slope * mean).sum(1, keepdim=True)
    return box_mean(slope, radius), box_mean(offset, radius)


def stretched(alpha: Tensor) -> Tensor:
    """Alpha with its ends pulled to 0 and 1: a linear fit leaves a little grey on either side of an edge."""
    return ((alpha - 0.2) / 0.6).clamp(0, 1)


@torch.no_grad()
def sharpen(rgb: Tensor, coarse: Tensor, guide_limit: int = GUIDE_LIMIT) -> Tensor:
    """Bring a coarse alpha to the photo's resolution and move its edges to the photo's.

    Args:
        rgb: (H, W, 3) 0..1.
        coarse: (h, w) 0..1 of the same photo.
        guide_limit: longest side at which local models are fitted.

    Returns:
        (H, W) 0..1; only the band in which the coarse alpha changes is touched.
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, guide_limit / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    full = rgb.float().permute(2, 0, 1)[None]
    guide = interpolate(full, size, mode="area") if scale < 1 else full
    alpha = interpolate(coarse[None, None], size, mode="bicubic", align_corners=False).clamp(0, 1)
    radius = max(2, round(1.5 * max(size) / max(coarse.shape)))
    for shrink in (1, 2, 2):  # the later, narrower passes follow edges that the first has already moved
        slope, offset = guided_coefficients(guide, alpha, max(2, radius // shrink), 1e-4)
        fitted = stretched((slope * guide).sum(1, keepdim=True) + offset)
        nearby = box_mean(alpha, radius)
        band = ((nearby > 0.02) & (nearby < 0.98)).to(alpha.dtype)
        alpha = fitted * band + (alpha > 0.5).to(alpha.dtype) * (1 - band)
    slope, offset, band = (interpolate(part, (height, width), mode="bilinear", align_corners=False) for part in (slope, offset, band))
    inside = interpolate((alpha > 0.5).to(alpha.dtype), (height, width), mode="bilinear", align_corners=False)
    fitted = stretched((slope * full).sum(1, keepdim=True) + offset)
    return (fitted * band + inside * (1 - band))[0, 0]


def certainty(coarse: Tensor) -> float:
    """How sure the network is, 0..1: the overlap that it expects between its answer and the truth, 0 where it found nothing."""
    chosen = (coarse > 0.5).to(coarse.dtype)
    return float((coarse * chosen).sum() / torch.maximum(coarse, chosen).sum().clamp(min=1e-6)) if bool(chosen.any()) else 0.0


def foreground_alpha(rgb: Tensor, device: torch.device | str = "cpu") -> tuple[Tensor, float]:
    """Cut out the object that a photo shows.

    Args:
        rgb: (H, W, 3) sRGB 0..1.
        device: where the network runs.

    Returns:
        alpha (H, W) 0..1 on the photo's device, and the network's certainty 0..1.

    Raises:
        WeightsError: the weights cannot be read.
    """
    network = load_network().to(device)
    coarse = coarse_alpha(network, rgb.to(device))
    return sharpen(rgb.to(device), coarse).to(rgb.device), certainty(coarse)
