"""Relief from light and shade: known light is found again, bumps are seen, paint is not taken for bumps."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from img23d.ops.shading import explained_by, fitted_light, relief_from_shading, shading_cues

SIZE = 128
LIGHT = torch.tensor([0.35, 0.55, 0.3])


def ball() -> tuple[torch.Tensor, torch.Tensor]:
    """(S, S, 3) normals of a ball and (S, S) its mask."""
    axis = (torch.arange(SIZE) + 0.5) / SIZE * 2.2 - 1.1
    x, y = axis[None, :].expand(SIZE, SIZE), -axis[:, None].expand(SIZE, SIZE)
    below = 1 - x.square() - y.square()
    return torch.stack([x, y, below.clamp(min=1e-4).sqrt()], -1), (below > 0.05).float()


def bumpy(normal: torch.Tensor, waves: float = 24.0, steep: float = 0.12) -> torch.Tensor:
    """A ball's normals with waves that run towards the light, as far as the picture shows it."""
    along = normalize(LIGHT * torch.tensor([1.0, 1.0, 0.0]), dim=0)
    slope = steep * torch.cos(waves * (normal @ along))[..., None] * along
    return normalize(normal - slope + (slope * normal).sum(-1, keepdim=True) * normal, dim=-1)


def picture(normal: torch.Tensor, mask: torch.Tensor, albedo: torch.Tensor | float = 0.5) -> torch.Tensor:
    """(S, S, 3) sRGB of a surface whose brightness grows exponentially along the light."""
    light = torch.exp(normal @ LIGHT - 1.0)[..., None]
    return (albedo * light).clamp(0, 1).pow(1 / 2.2).expand(-1, -1, 3) * mask[..., None]


def batched(*images: torch.Tensor) -> list[torch.Tensor]:
    return [(image if image.ndim == 3 else image[..., None]).permute(2, 0, 1)[None] for image in images]


def error(normal: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> float:
    angle = torch.rad2deg(torch.arccos((normal * truth).sum(-1).clamp(-1, 1)))
    return float((angle * mask).sum() / mask.sum())


def test_the_light_of_a_smooth_ball_is_found_again():
    normal, mask = ball()
    found = fitted_light(*batched(picture(normal, mask), mask, normal * mask[..., None]))[0]
    assert float((found / found.norm()) @ (LIGHT / LIGHT.norm())) > 0.98
    assert 0.7 < float(found.norm() / LIGHT.norm()) < 1.0  # pulled towards none a little


def test_nothing_is_left_unexplained_on_a_smooth_ball():
    normal, mask = ball()
    cues = shading_cues(*batched(picture(normal, mask), mask, normal), LIGHT[None])
    assert cues.shape == (1, 3, SIZE, SIZE) and float(cues.abs().max()) < 0.1
    assert not cues[0, :, mask == 0].any()


def test_an_empty_mask_has_no_light_and_no_relief():
    normal, mask = ball()
    nothing = torch.zeros_like(mask)
    assert not fitted_light(*batched(picture(normal, mask), nothing, normal)).any()
    assert torch.allclose(relief_from_shading(picture(normal, mask), nothing, normal, 1.0), normalize(normal, dim=-1), atol=1e-5)


def test_bumps_of_one_colour_are_seen():
    normal, mask = ball()
    truth = bumpy(normal)
    before, after = error(normal, truth, mask), error(relief_from_shading(picture(truth, mask), mask, normal, 1.0), truth, mask)
    assert before > 3 and after < 0.6 * before


def test_more_is_believed_with_more_strength():
    normal, mask = ball()
    rgb = picture(bumpy(normal), mask)
    none, half, whole = (error(relief_from_shading(rgb, mask, normal, strength), normal, mask) for strength in (0.0, 0.5, 1.0))
    assert none < 0.05 and whole > 1.5 and half == pytest.approx(whole / 2, rel=0.1)


def test_paint_is_not_taken_for_bumps():
    normal, mask = ball()
    stripes = (torch.sin(24.0 * normal[..., :1]) > 0).float()
    paint = stripes * torch.tensor([0.6, 0.25, 0.6]) + (1 - stripes) * torch.tensor([0.6, 0.55, 0.5])
    painted = error(relief_from_shading(picture(normal, mask, paint), mask, normal, 1.0), normal, mask)
    grey = (paint @ torch.tensor([0.2126, 0.7152, 0.0722]))[..., None]
    as_bumps = error(relief_from_shading(picture(normal, mask, grey), mask, normal, 1.0), normal, mask)
    assert painted < 0.4 * as_bumps


def test_a_value_that_follows_its_guide_is_explained_and_another_is_not():
    torch.manual_seed(0)
    inside = torch.ones(64, 64)
    guide = 0.1 * torch.randn(64, 64, 2)
    value = guide @ torch.tensor([[2.0], [-1.0]])
    assert float((explained_by(value, guide, inside, 6.0) - value).abs().mean()) < 0.25 * float(value.abs().mean())
    other = 0.2 * torch.randn(64, 64, 1)
    assert float(explained_by(other, guide, inside, 6.0).square().mean()) < 0.1 * float(other.square().mean())


def test_a_mirrored_picture_has_mirrored_relief():
    normal, mask = ball()
    rgb, turn = picture(bumpy(normal), mask), torch.tensor([-1.0, 1.0, 1.0])
    straight = relief_from_shading(rgb, mask, normal, 1.0)
    mirrored = relief_from_shading(rgb.flip(1), mask.flip(1), normal.flip(1) * turn, 1.0)
    assert torch.allclose(mirrored.flip(1) * turn, straight, atol=1e-4)
    assert math.isclose(float(straight.norm(dim=-1).mean()), 1.0, abs_tol=1e-5)
