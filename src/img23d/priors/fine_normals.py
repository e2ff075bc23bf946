"""The embedded network for fine normals: a closer look at the photo, for the relief that the shape network is too coarse to see."""

from __future__ import annotations

import functools
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_shuffle, pixel_unshuffle

from img23d.ops.normals import unit
from img23d.ops.shading import fitted_light, shading_cues
from img23d.priors.export import filled, read_weights, write_weights
from img23d.priors.network import row

WEIGHTS = Path(__file__).parent / "weights" / "normals.safetensors"
FORMAT = "img23d-normals-2"
SIZE = 256  # pixels along each side of the pictures
INPUTS = 11  # rgb and mask, normal and depth by the shape network, what light and shade say
COARSE = slice(4, 8)  # of these, what comes from half as many pixels
PER_PIXEL = 8  # channels per pixel: all but the coarse four, of which there is a mean of 2 x 2 pixels
FINE = 24
PER_CHORD = 3.0  # expected 1 - cosine over the squared scale of a Laplace distribution of chords in the plane


class FineNormals(NamedTuple):
    """What the network says about B pictures of S x S pixels."""

    normal: Tensor  # (B, 3, S, S) unit, camera frame
    log_scale: Tensor  # (B, 1, S, S) logarithm of the scale of the Laplace distribution of the chord between answer and truth


class NormalNetwork(nn.Module):
    """Corrects coarse normals by what the picture shows; an untrained one leaves them as they are.

    A U-Net on patches of 4 x 4 pixels, with a thin branch at half size for what is finer.

    Args:
        widths: channels at 1/4, 1/8, ... of the picture.
        blocks: residual blocks at these sizes, on the way down.
        up_blocks: residual blocks on the way up, at all these sizes but the last.
        fine_width: channels at 1/2 of the picture.
    """

    def __init__(
        self, widths: tuple[int, ...] = (48, 80, 96), blocks: tuple[int, ...] = (2, 2, 1), up_blocks: tuple[int, ...] = (2, 1),
        fine_width: int = FINE,
    ) -> None:  # fmt: skip
        super().__init__()
        self.sizes = {"widths": tuple(widths), "blocks": tuple(blocks), "up_blocks": tuple(up_blocks), "fine_width": fine_width}
        self.stem = nn.Conv2d(16 * PER_PIXEL, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(row(width, count) for width, count in zip(widths, blocks))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.up_blocks = nn.ModuleList(row(width, count) for width, count in zip(widths[:-1], up_blocks))
        self.norm = nn.BatchNorm2d(widths[0])
        self.fine_stem = nn.Conv2d(4 * PER_PIXEL, fine_width, 3, padding=1)
        self.to_fine = nn.Conv2d(widths[0], 4 * fine_width, 1)
        self.fine_blocks = row(fine_width, 2)
        self.fine_norm = nn.BatchNorm2d(fine_width)
        self.out = nn.Conv2d(fine_width, 16, 3, padding=1)
        nn.init.normal_(self.out.weight, std=1e-3)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def inner(self) -> list[nn.Module]:
        """The modules between the first and the last layers."""
        return [self.down_blocks, self.down, self.up, self.up_blocks, self.fine_blocks]

    def forward(self, inputs: Tensor) -> FineNormals:
        """Answer for inputs (B, INPUTS, S, S) made by `normal_inputs`; S a multiple of 16."""
        x = self.stem(pixel_unshuffle(patches(inputs), 2))
        kept = []
        for level, blocks in enumerate(self.down_blocks):
            x = blocks(x)
            if level < len(self.down):
                kept.append(x)
                x = self.down[level](x)
        for level in reversed(range(len(self.up))):
            x = self.up_blocks[level](kept[level] + interpolate(self.up[level](x), scale_factor=2.0, mode="nearest"))
        fine = self.fine_stem(patches(inputs)) + pixel_shuffle(self.to_fine(torch.relu(self.norm(x))), 2)
        out = pixel_shuffle(self.out(torch.relu(self.fine_norm(self.fine_blocks(fine)))), 2).float()
        return FineNormals(unit(inputs[:, 4:7].float() + out[:, :3], 1), (out[:, 3:] - 1.0).clamp(-5.0, 1.0))


def patches(inputs: Tensor) -> Tensor:
    """(B, INPUTS, S, S) to (B, 4 PER_PIXEL, S / 2, S / 2): all values of 2 x 2 pixels, of the coarse maps their mean."""
    fine = torch.cat([inputs[:, : COARSE.start], inputs[:, COARSE.stop :]], 1)
    return torch.cat([pixel_unshuffle(fine, 2), avg_pool2d(inputs[:, COARSE], 2)], 1)


def normal_inputs(rgb: Tensor, mask: Tensor, normal: Tensor, depth: Tensor, light: Tensor | None = None) -> Tensor:
    """Stack what the network sees.

    Args:
        rgb: (B, 3, S, S) 0..1, multiplied by the mask.
        mask: (B, 1, S, S) 0..1.
        normal: (B, 3, s, s) unit, camera frame, by the shape network; any s.
        depth: (B, 1, s, s) first surface by the shape network, half-widths from mid-depth.
        light: (B, 3) of the pictures that these are parts of, from `fitted_light`; None for whole pictures.

    Returns:
        (B, INPUTS, S, S); normal and depth are zero outside of the mask.
    """
    size = rgb.shape[-2:]
    coarse = torch.cat([normal, depth], 1)
    if coarse.shape[-2:] != size:
        coarse = interpolate(coarse, size, mode="bilinear", align_corners=False)
    coarse = torch.cat([unit(coarse[:, :3], 1), coarse[:, 3:]], 1) * (mask > 0)
    light = fitted_light(rgb, mask, coarse[:, :3]) if light is None else light
    return torch.cat([rgb, mask, coarse, shading_cues(rgb, mask, coarse[:, :3], light)], 1)


def turned_over(inputs: Tensor) -> Tensor:
    """The inputs about the mirrored picture."""
    sign = torch.ones(INPUTS, device=inputs.device)
    sign[4] = sign[COARSE.stop] = -1.0
    return inputs.flip(-1) * sign[:, None, None]


def weights_present() -> bool:
    """Whether the network's weights are installed."""
    return WEIGHTS.is_file()


@torch.no_grad()
def fine_normals(rgb: Tensor, mask: Tensor, normal: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Normals of a crop at `SIZE` pixels a side: the mean answer about the picture and its mirror image.

    Args:
        rgb: (S, S, 3) sRGB 0..1 of the crop; any S, what lies outside the mask does not matter.
        mask: (S, S) 0..1.
        normal: (s, s, 3) unit, camera frame, by the shape network.
        depth: (s, s) first surface by the shape network, half-widths from mid-depth.

    Returns:
        (SIZE, SIZE, 3) unit normals, and (SIZE, SIZE) the expected 1 - cosine of their error.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    network = load_network(WEIGHTS, str(rgb.device))
    cut = torch.cat([rgb * mask[..., None], mask[..., None]], -1).permute(2, 0, 1)[None].float()
    cut = interpolate(cut, size=(SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    inputs = normal_inputs(cut[:, :3], cut[:, 3:], normal.permute(2, 0, 1)[None], depth[None, None])
    answer = network(torch.cat([inputs, turned_over(inputs)]).contiguous(memory_format=torch.channels_last))
    ours, other = answer.normal
    turned = unit(ours + other.flip(-1) * ours.new_tensor([-1.0, 1.0, 1.0])[:, None, None], 0)
    scale = 0.5 * (answer.log_scale[0, 0] + answer.log_scale[1, 0].flip(-1))
    return turned.permute(1, 2, 0), (PER_CHORD * torch.exp(2.0 * scale)).clamp(max=2.0)


def export_normals(network: NormalNetwork, path: Path, figures: dict[str, float]) -> None:
    """Write a network as fp16 safetensors, with its sizes and figures as metadata."""
    write_weights(network, path, FORMAT, sizes=network.sizes, figures=figures)


@functools.lru_cache(maxsize=2)
def load_network(path: Path, device: str = "cpu") -> NormalNetwork:
    """The network of a weights file, ready to answer; kept for the next call.

    Raises:
        WeightsError: the file is missing, torn or of another version.
    """
    tensors, facts = read_weights(path, FORMAT, "network for fine normals", "normals")
    network = filled(NormalNetwork(**facts["sizes"]), tensors, path, "normals")
    return network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


def chord_loss(answer: FineNormals, truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of the negative log-likelihood of the normals' errors.

    The chord between answer and truth, and not one minus their cosine, is taken for Laplace-distributed: small errors, of which relief
    is made, then count as much for each degree as large ones.

    Args:
        answer: for B pictures.
        truth: (B, 3, S, S) unit.
        weight: (B, 1, S, S).
    """
    chord = ((answer.normal - truth).square().sum(1, keepdim=True) + 1e-6).sqrt()
    likelihood = chord * torch.exp(-answer.log_scale) + 2.0 * answer.log_scale  # two, as chords lie in the plane
    return (likelihood * weight).sum() / weight.sum().clamp(min=1.0)


def differences(vectors: Tensor, weight: Tensor, apart: int) -> list[tuple[Tensor, Tensor]]:
    """What vectors (B, C, S, S) change by from pixel to pixel ``apart`` to the right and downwards, and where both of them count."""
    return [
        (vectors.narrow(axis, apart, side) - vectors.narrow(axis, 0, side), weight.narrow(axis, apart, side) * weight.narrow(axis, 0, side))
        for axis, side in ((-1, vectors.shape[-1] - apart), (-2, vectors.shape[-2] - apart))
    ]


def relief_loss(normal: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean error of what normals change by over 1, 2, 4 and 8 pixels.

    Whole regions lean the wrong way by more than relief changes them: next to that error relief would hardly be learnt.

    Args:
        normal: (B, 3, S, S).
        truth: (B, 3, S, S).
        weight: (B, 1, S, S).

    Reference:
        Ranftl et al., Towards robust monocular depth estimation (2020), the multi-scale gradient matching term, for normals.
    """
    total = normal.new_tensor(0.0)
    for apart in (1, 2, 4, 8):
        for (change, _), (wanted, counts) in zip(differences(normal, weight, apart), differences(truth, weight, apart)):
            error = ((change - wanted).square().sum(1, keepdim=True) + 1e-6).sqrt()
            total = total + (error * counts).sum() / counts.sum().clamp(min=1.0)
    return total / 8
