"""The shape network that is shipped inside: what one cut-out picture says about the whole object."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.errors import WeightsError
from img23d.ops.features import without_features
from img23d.priors import frame
from img23d.priors.ask import ask
from img23d.priors.export import import_network
from img23d.priors.known_solid import KnownSolid
from img23d.priors.network import ShapeNetwork
from img23d.priors.slant import steepen
from img23d.priors.solid import solid_from_prediction

__all__ = ["Prediction", "mirrored", "predict", "solid_from_prediction", "weights_present"]

WEIGHTS = Path(__file__).parent / "weights" / "shape.safetensors"
MAPS = ["mask", "front_depth", "back_depth", "depth_confidence", "back_depth_confidence", "normal_confidence", "back_confidence"]
DEPTH_DOUBT = 0.15  # half-widths: a depth with this expected error has confidence 1/e
NORMAL_DOUBT = 0.25  # 1 - cosine
COLOUR_DOUBT = 0.2


@dataclass(frozen=True)
class Prediction:
    """What the network says about one crop. S pixels and D bins; lengths are half-widths of the crop at mid-depth (see `frame`).

    Args:
        mask: (S, S) the picture's coverage as the network saw it, 0..1.
        front_depth: (S, S) first surface along the rays, from mid-depth, positive away from the camera; meaningless outside the mask.
        back_depth: (S, S) last surface along the rays.
        depth_confidence: (S, S) 0..1 of ``front_depth``.
        back_depth_confidence: (S, S) 0..1 of ``back_depth``.
        normal: (S, S, 3) unit, camera frame (x right, y up, z towards the camera), of the first surface.
        normal_confidence: (S, S) 0..1.
        back_rgb: (S, S, 3) sRGB 0..1 colour of the last surface.
        back_confidence: (S, S) 0..1 of ``back_rgb``.
        volume: (D, h, w) signed distance over `frame.TRUNCATION`, -1..1, negative inside, on rays through the pixel centres of an
            h x w picture at depths ``depth_range[0]`` .. ``depth_range[1]`` (both included) from mid-depth.
        depth_range: (near, far).
        elevation: radians of the camera above the horizon.
        elevation_doubt: radians, the error to expect of it; 0 of a network without a camera's head, which can't tell.
        roll: radians the camera is turned about its axis.
        fov: radians of the crop: the one that was told, else the network's guess.
        known: a simple solid that took the place of the network's, see `img23d.priors.primitive`.
    """

    mask: Tensor
    front_depth: Tensor
    back_depth: Tensor
    depth_confidence: Tensor
    back_depth_confidence: Tensor
    normal: Tensor
    normal_confidence: Tensor
    back_rgb: Tensor
    back_confidence: Tensor
    volume: Tensor
    depth_range: tuple[float, float]
    elevation: float
    elevation_doubt: float
    roll: float
    fov: float
    known: KnownSolid | None = None


def weights_present() -> bool:
    """Whether the shape network's weights are installed."""
    return WEIGHTS.is_file()


@functools.lru_cache(maxsize=2)
def shape_network(path: Path, device: str) -> ShapeNetwork:
    """The network of a weights file, kept for the next call."""
    return import_network(path, device)


@torch.no_grad()
def predict(rgb: Tensor, mask: Tensor, fov: float | None, device: torch.device | str, weights: Path | None = None) -> Prediction:
    """Ask the network about one crop.

    Args:
        rgb: (S, S, 3) sRGB 0..1 of the recentred crop: the object's bounding box in the middle, its longest side `frame.FILL` (0.85) of
            the picture. Any S; what lies outside the mask does not matter.
        mask: (S, S) coverage 0..1.
        fov: full field of view of the crop in radians, or None when it is not known.
        device: where to compute; the answer's tensors live there.
        weights: another weights file than the shipped one.

    Returns:
        Everything in the frame of the crop's camera.

    Raises:
        WeightsError: there are no weights, or they are damaged.
    """
    path = weights or WEIGHTS
    if not path.is_file():
        raise WeightsError(
            f"the embedded shape network is missing ({path})", "pip install --force-reinstall img23d, or --set prior.kind=inflate"
        )
    network, size = shape_network(path, str(device)), frame.IMAGE_SIZE
    rgb, mask = rgb.to(device, torch.float32), mask.to(device, torch.float32)
    cut = torch.cat([rgb * mask[..., None], mask[..., None]], -1).permute(2, 0, 1)[None]
    if cut.shape[-1] != size:
        cut = F.interpolate(cut, size=(size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    told = math.nan if fov is None else min(max(fov, frame.FOV_RANGE[0]), frame.FOV_RANGE[1])
    answer = ask(network, cut, torch.tensor([told], device=device))
    scale = answer.log_scale[0].exp()
    depth = torch.stack([answer.depth[0].amin(0), answer.depth[0].amax(0)])
    near, far = -frame.DEPTH_RANGE, frame.DEPTH_RANGE
    (front, back), volume = steepen((depth[0], depth[1]), answer.volume[0].clamp(-1, 1), frame.bin_depths(device=device), cut[0, 3])
    back_rgb = without_features(answer.back_rgb[0].clamp(0, 1).permute(1, 2, 0), cut[0, 3])
    return Prediction(
        mask=cut[0, 3], front_depth=front, back_depth=back, depth_confidence=torch.exp(-scale[0] / DEPTH_DOUBT),
        back_depth_confidence=torch.exp(-scale[1] / DEPTH_DOUBT), normal=answer.normal[0].permute(1, 2, 0),
        normal_confidence=torch.exp(-scale[2] / NORMAL_DOUBT), back_rgb=back_rgb,
        back_confidence=torch.exp(-scale[3] / COLOUR_DOUBT), volume=volume, depth_range=(near, far),
        elevation=float(answer.pose[0, 0]), elevation_doubt=0.0 if network.view is None else math.exp(float(answer.pose_log_scale[0, 0])),
        roll=float(answer.pose[0, 1]), fov=fov if fov is not None else float(answer.pose[0, 2].clamp(*frame.FOV_RANGE)),
    )  # fmt: skip


def mirrored(prediction: Prediction) -> Prediction:
    """The same prediction seen in a mirror, left and right swapped."""
    names = [*MAPS, "volume"]
    flipped = {name: getattr(prediction, name).flip(-1) for name in names}
    normal = prediction.normal.flip(1) * prediction.normal.new_tensor([-1.0, 1.0, 1.0])
    return replace(prediction, **flipped, normal=normal, back_rgb=prediction.back_rgb.flip(1), roll=-prediction.roll)
