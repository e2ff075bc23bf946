"""The photo's light and shade, found from its own pixels and the shape, and taken out of its colours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.ops.constants import constant
from img23d.ops.defringe import spread_smoothly
from img23d.ops.interpolate import fragments, interpolate, to_image
from img23d.ops.raster import Rasterizer
from img23d.ops.srgb import to_linear, to_srgb
from img23d.scene import Cameras, Mesh, Views

SIZE = 512  # longest side of the picture in which the light is sought, pixels
PAIRS, FEWEST = 20_000, 200  # pairs of pixels that are compared; pixels that tell anything
ALIKE = 0.03  # chromaticities that differ by this much are hardly of one material
STRAY = 0.15  # differences of log brightness beyond this are rather paint than shade
# Before the pixels say anything: some more light from above (+Y), object frame; its spread; and what that counts for beside them.
EXPECTED, SPREAD, BELIEF = (0.0, 0.2, 0.0), 0.25, 3e-4
ROUNDS = 20
DARKEST = 0.01  # linear light that is added before logarithms are taken


@dataclass(frozen=True)
class Light:
    """Light of one smooth lobe: surfaces with unit normal n are lit by exp(n . lobe - level).

    Args:
        lobe: (3,) towards where the light comes from, object frame; the longer, the more uneven is the light. Zero is even light.
        level: such that the photo's mean brightness is kept.
    """

    lobe: Tensor
    level: float

    def times(self, share: float) -> Light:
        """So much of this light; none is even light."""
        return Light(self.lobe * share, self.level * share)

    def log_shading(self, normals: Tensor) -> Tensor:
        """(...) natural logarithm of the light on surfaces with unit normals (..., 3)."""
        return (normals * self.lobe.to(normals)).sum(-1) - self.level


def find_lobe(rgb: Tensor, normals: Tensor, seed: int) -> Tensor:
    """The light under which most pairs of pixels of one hue have one albedo.

    Two pixels i and j of one material differ in log brightness by (n_i - n_j) . lobe; print and paint are outliers to that, and count
    less and less in reweighted least squares (Cauchy's weights).

    Args:
        rgb: (P, 3) sRGB of pixels on the object.
        normals: (P, 3) unit, object frame.
        seed: which pairs are looked at.

    Returns:
        (3,) lobe of a `Light`.

    Reference: Barron and Malik, Shape, illumination, and reflectance from shading (2015), section 4: smooth and parsimonious reflectance.
        Here shape is given, light is a von Mises-Fisher lobe and the pairs lie anywhere.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randint(len(rgb), (2, PAIRS), generator=generator).to(rgb.device)
    linear = to_linear(rgb).double()
    brightness = (linear.mean(-1) + DARKEST).log()
    chroma = linear / (linear.sum(-1, keepdim=True) + 2 * DARKEST)
    alike = torch.exp((chroma[first] - chroma[second]).square().sum(-1) / (-2 * ALIKE**2))
    turn, step = (normals[first] - normals[second]).double(), brightness[first] - brightness[second]
    expected = constant(EXPECTED, step)
    believed = BELIEF / SPREAD**2 * torch.eye(3, dtype=step.dtype, device=step.device)
    lobe = expected
    for _ in range(ROUNDS):
        weight = alike / (1 + ((step - turn @ lobe) / STRAY).square())
        weight = weight / weight.sum().clamp(min=1e-6)
        lobe = torch.linalg.solve(turn.T @ (weight[:, None] * turn) + believed, turn.T @ (weight * step) + believed @ expected)
    return lobe.to(rgb.dtype)


def find_light(views: Views, mesh: Mesh, normals: Tensor, rasterizer: Rasterizer, seed: int) -> tuple[Light, Tensor] | None:
    """The light of a photo, and its logarithm on what each pixel shows.

    Args:
        views: the photo with its mask and camera, V = 1.
        mesh: the surface as the photo's camera sees it.
        normals: (N, 3) unit, at its vertices.
        rasterizer: says which face each pixel sees.
        seed: which pixels are compared.

    Returns:
        The light, and (h, w) log shading at no more than 512 pixels a side, continued beyond the mesh; None where too little is seen.
    """
    scale = min(1.0, SIZE / max(views.mask.shape[1:]))
    height, width = (max(1, round(scale * side)) for side in views.mask.shape[1:])
    planes = torch.cat([views.rgb, views.mask[..., None]], -1).permute(0, 3, 1, 2)
    small = F.interpolate(planes, size=(height, width), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    seen, covered = seen_normals(views.cameras, mesh, normals, rasterizer, height, width)
    told = covered & (small[..., 3] > 0.99)
    if int(told.sum()) < FEWEST:
        return None
    lobe = find_lobe(small[told][:, :3], seen[told], seed)
    light = Light(lobe, float((seen[told] @ lobe).mean()))
    shading = torch.where(covered, light.log_shading(seen), torch.zeros_like(small[..., 3]))
    return light, spread_smoothly(shading[..., None], covered.to(shading))[..., 0]


def seen_normals(camera: Cameras, mesh: Mesh, normals: Tensor, rasterizer: Rasterizer, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(h, w, 3) unit normals that one camera sees, zero where none, and (h, w) bool where there is one."""
    points = camera.project(mesh.vertices)
    seen = fragments(rasterizer.face_ids(points, mesh.faces, height, width), points, mesh.faces)
    found = F.normalize(interpolate(seen, normals), dim=-1)
    return to_image(seen, found)[0], to_image(seen, torch.ones_like(seen.depth))[0] > 0


def without_light(views: Views, mesh: Mesh, normals: Tensor, rasterizer: Rasterizer, share: float, seed: int) -> Views:
    """The photo as it would be in even light of the same mean brightness; cast shadows and highlights stay.

    Args:
        views: the photo with its mask and camera, V = 1.
        mesh: the surface as the photo's camera sees it.
        normals: (N, 3) unit, at its vertices.
        rasterizer: says which face each pixel sees.
        share: how much of the shade goes, 0..1.
        seed: which pixels are compared.
    """
    found = find_light(views, mesh, normals, rasterizer, seed) if share > 0 else None
    if found is None:
        return views
    shading = F.interpolate(found[1][None, None], views.mask.shape[1:], mode="bilinear", align_corners=False)[0]
    return replace(views, rgb=relit(views.rgb, -share * shading))


def relit(rgb: Tensor, log_shading: Tensor) -> Tensor:
    """(..., 3) sRGB colours in light exp(log_shading) times as strong, (...); what gets brighter than white is white."""
    return to_srgb(to_linear(rgb) * log_shading.exp()[..., None])
