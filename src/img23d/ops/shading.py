"""What light and shade say of relief: the picture's light fitted to coarse normals, and what it leaves unexplained.

Where a surface turns a little towards the light it is a little brighter than its coarse normal explains. Paint may be as well, but paint
mostly is of another colour, too, and shade is not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from img23d.ops.defringe import blur_inside
from img23d.ops.normals import unit

FITTED = 64  # pixels along each side of the picture that light is fitted to
DARKEST = 0.02  # linear luminance added before the logarithm
FAINT = 0.05  # of the squared light: how much less than this tells next to nothing
RIDGE = 0.02  # pull of the light towards none, per pixel
LARGEST_RESIDUAL, LARGEST_CUE = 1.0, 2.0
CUES = 3
FINEST, BROADEST = 0.006, 0.08  # share of the picture's size: relief between these, what is broader is shape
PAINTED, ALIKE = 0.03, 2e-4  # how far around paint's brightness is told from its colour; less variance of colour than this is none


def log_luminance(rgb: Tensor) -> Tensor:
    """(B, 1, S, S) logarithm of the linear luminance of sRGB pictures (B, 3, S, S)."""
    weights = rgb.new_tensor([0.2126, 0.7152, 0.0722])[:, None, None]
    return (((rgb.clamp(0, 1) ** 2.2) * weights).sum(1, keepdim=True) + DARKEST).log()


def fitted_light(rgb: Tensor, mask: Tensor, normal: Tensor) -> Tensor:
    """By how much the logarithm of the luminance grows along the normal's x, y and z.

    Args:
        rgb: (B, 3, S, S) sRGB 0..1; any size of at least `FITTED`.
        mask: (B, 1, S, S) 0..1.
        normal: (B, 3, s, s) unit or zero, camera frame; any s.

    Returns:
        (B, 3); zero for an empty mask.

    Reference:
        Basri and Jacobs, Lambertian reflectance and linear subspaces (2003): light as a linear function of the normal; after Or-El et al.,
        RGBD-fusion (2015), who fit it to coarse depth to find the relief that this lacks.
    """
    rgb, mask, normal = (interpolate(image, (FITTED, FITTED), mode="area") for image in (rgb, mask, normal))
    weight = (mask > 0.9).flatten(1).float()
    value = log_luminance(rgb / mask.clamp(min=0.1)).flatten(1)
    count = weight.sum(1, keepdim=True).clamp(min=1.0)
    towards = normal.flatten(2)
    value = value - (value * weight).sum(1, keepdim=True) / count
    towards = towards - (towards * weight[:, None]).sum(2, keepdim=True) / count[:, None]
    gram = torch.einsum("bin,bjn,bn->bij", towards, towards, weight) / count[:, :, None] + RIDGE * torch.eye(3, device=rgb.device)
    return torch.linalg.solve(gram, torch.einsum("bin,bn->bi", towards, value * weight) / count)


def shading_cues(rgb: Tensor, mask: Tensor, normal: Tensor, light: Tensor) -> Tensor:
    """What the light leaves unexplained of the luminance, and by how much the normal's x and y would have to change to explain it.

    Args:
        rgb: (B, 3, S, S) sRGB 0..1, multiplied by the mask.
        mask: (B, 1, S, S) 0..1.
        normal: (B, 3, S, S) unit, camera frame.
        light: (B, 3) from `fitted_light`.

    Returns:
        (B, CUES, S, S) x, y and the rest of the logarithm of the luminance; zero outside of the mask.
    """
    inside = (mask > 0.5).float()
    rest = log_luminance(rgb / mask.clamp(min=0.1)) - (light[:, :, None, None] * normal).sum(1, keepdim=True)
    rest = rest - (rest * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True).clamp(min=1.0)
    rest = rest.clamp(-LARGEST_RESIDUAL, LARGEST_RESIDUAL) * inside
    per_slope = (light[:, :2] / (light.square().sum(1, keepdim=True) + FAINT))[:, :, None, None]
    return torch.cat([(rest * per_slope).clamp(-LARGEST_CUE, LARGEST_CUE), rest], 1)


def relief_from_shading(rgb: Tensor, mask: Tensor, normal: Tensor, strength: float) -> Tensor:
    """Normals with the relief that light and shade show and coarse normals lack.

    What of the unexplained brightness goes with a change of colour is taken for paint; the rest is taken for slopes along the light. That
    need not fit together, which is for those to settle who integrate it.

    Args:
        rgb: (S, S, 3) sRGB 0..1; what lies outside the mask does not matter.
        mask: (S, S) 0..1.
        normal: (S, S, 3) unit, camera frame.
        strength: how much of it is believed, 0 none.

    Returns:
        (S, S, 3) unit normals.

    Reference:
        Horn, Shape from shading (1970), linear in small slopes as in Pentland, Linear shape from shading (1990); Grosse et al., Ground
        truth dataset and baseline evaluations for intrinsic image algorithms (2009), the colour variant of Retinex; He et al., Guided
        image filtering (2010), for the local regression on colour.
    """
    inside, size = (mask > 0.5).to(rgb), max(mask.shape)
    picture, towards = (image.permute(2, 0, 1)[None] for image in (rgb * mask[..., None], normal * inside[..., None]))
    light = fitted_light(picture, mask[None, None], towards)
    rest = shading_cues(picture, mask[None, None], towards, light)[0, 2:].permute(1, 2, 0)

    def band(image: Tensor) -> Tensor:
        return blur_inside(image, inside, FINEST * size) - blur_inside(image, inside, BROADEST * size)

    shade = band(rest)
    shade = shade - explained_by(shade, band(chromaticity(rgb)), inside, PAINTED * size)
    along = light[0] * shade / (light.square().sum() + FAINT) * inside[..., None]
    return unit(normal + strength * (along - (along * normal).sum(-1, keepdim=True) * normal), -1)


def chromaticity(rgb: Tensor) -> Tensor:
    """(..., 2) shares of red and green in the linear light of sRGB (..., 3)."""
    light = rgb.clamp(0, 1) ** 2.2 + DARKEST
    return light[..., :2] / light.sum(-1, keepdim=True)


def explained_by(value: Tensor, guide: Tensor, inside: Tensor, sigma: float) -> Tensor:
    """(H, W, 1) what a linear function of the guide (H, W, 2), fitted about each pixel, says of the value (H, W, 1)."""

    def around(image: Tensor) -> Tensor:
        return blur_inside(image, inside, sigma)

    value, guide = value - around(value), guide - around(guide)
    red, green = guide.unbind(-1)
    products = torch.stack([red * red, red * green, green * green, red * value[..., 0], green * value[..., 0]], -1)
    a, b, d, p, q = around(products).unbind(-1)
    a, d = a + ALIKE, d + ALIKE
    slopes = torch.stack([d * p - b * q, a * q - b * p], -1) / (a * d - b * b)[..., None]
    return (around(slopes) * guide).sum(-1, keepdim=True)
