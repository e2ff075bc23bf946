"""The shipped shape network and what is made of its answer."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from img23d.errors import WeightsError
from img23d.priors import frame
from img23d.priors.embedded import Prediction, mirrored, predict, solid_from_prediction, weights_present
from img23d.priors.export import export_network
from img23d.priors.network import ShapeNetwork
from img23d.priors.solid import (
    THINNEST,
    RayVolume,
    agree,
    bin_depths,
    crossings,
    lacking_overlap,
    redistance,
    silhouette_distance,
    without_lost_walls,
)
from img23d.scene.cameras import orbit_degrees

SIZE = 96
FOV = math.radians(35.0)


def disc(radius: float, size: int = SIZE) -> torch.Tensor:
    """(S, S) distance from the middle over -1..1, as coverage of a disc."""
    axis = frame.pixel_axis(size)
    away = torch.hypot(*torch.meshgrid(axis, axis, indexing="ij"))
    return ((radius - away) * size / 2 + 0.5).clamp(0, 1)


def ball_prediction(radius: float = 0.7, thin: bool = False) -> Prediction:
    """What a perfect network would say about a ball (seen from far away), or about a disc too thin for the volume."""
    axis = frame.pixel_axis(SIZE)
    height = (radius**2 - axis[:, None] ** 2 - axis[None] ** 2).clamp(min=0).sqrt() * (0.02 if thin else 1.0)
    depths = frame.bin_depths()[:, None, None]
    coarse = frame.pixel_axis(frame.VOLUME_SIZE)
    distance = (depths**2 + coarse[:, None] ** 2 + coarse[None] ** 2).sqrt() - radius
    volume = torch.ones_like(distance) if thin else (distance / frame.TRUNCATION).clamp(-1, 1)
    full = torch.ones(SIZE, SIZE)
    normal = torch.zeros(SIZE, SIZE, 3)
    normal[..., 2] = 1
    return Prediction(
        disc(radius), -height, height, full, full, normal, full, torch.zeros(SIZE, SIZE, 3), full, volume,
        (-frame.DEPTH_RANGE, frame.DEPTH_RANGE), 0.2, 0.9, 0.0, math.radians(4.0),
    )  # fmt: skip


def narrow_camera(unit: float = 0.8):
    """A camera from far away with ``unit`` object units per half-width at the origin."""
    fov = 4.0
    return orbit_degrees([0.0], 0.0, unit / math.tan(math.radians(fov) / 2), fov)


def test_silhouette_distance_is_finer_than_a_pixel():
    axis = frame.pixel_axis(SIZE)
    away = torch.hypot(*torch.meshgrid(axis, axis, indexing="ij"))
    near = (away - 0.6).abs() < 0.1
    assert (silhouette_distance(disc(0.6)) - (away - 0.6))[near].abs().max() < 0.5 * 2 / SIZE


def test_crossings_are_interpolated():
    depths = torch.linspace(-1, 1, 21)
    volume = torch.stack([(depths - 0.13).abs() - 0.31, torch.ones(21)], -1)[:, None]
    first, last, solid = crossings(volume, depths)
    assert first[0, 0].item() == pytest.approx(-0.18, abs=1e-5) and last[0, 0].item() == pytest.approx(0.44, abs=1e-5)
    assert solid.tolist() == [[True, False]]


def test_ball_becomes_a_ball_of_the_right_size_in_the_object_frame():
    sdf, confidence = solid_from_prediction(ball_prediction(), narrow_camera(), 64)
    axis = torch.linspace(-1, 1, 64)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    true = torch.sqrt(x**2 + y**2 + z**2) - 0.56
    error = (sdf - true).abs()[true.abs() < 0.06]
    assert error.mean() < 0.008 and error.quantile(0.99) < 0.03
    assert (sdf - true)[true.abs() > 0.1].abs().mean() < 0.04
    assert confidence.min() >= 0 and confidence.max() <= 1


def test_layered_depths_move_the_surfaces_of_the_volume():
    said = ball_prediction()
    depths = torch.linspace(*said.depth_range, frame.DEPTH_BINS)
    layers = (said.front_depth - 0.2, said.back_depth)
    trust = (torch.full((SIZE, SIZE), 1e3), torch.zeros(SIZE, SIZE))
    rays = agree(said.volume * frame.TRUNCATION, depths, said.mask, layers, trust)
    first, last, _ = crossings(rays.distance, torch.linspace(float(depths[0]) - 0.1, float(depths[-1]) + 0.1, len(rays.distance)))
    middle = slice(SIZE // 3, 2 * SIZE // 3)
    assert (first - layers[0])[middle, middle].abs().max() < 0.02
    assert (last - said.back_depth)[middle, middle].abs().max() < 0.03


def test_parts_too_thin_for_the_volume_keep_their_silhouette():
    sdf, _ = solid_from_prediction(ball_prediction(thin=True), narrow_camera(), 128)
    shown = (sdf < 0).any(0)
    axis = torch.linspace(-1, 1, 128)
    expected = torch.hypot(*torch.meshgrid(axis, axis, indexing="ij")) < 0.56
    assert (shown & expected).sum() / (shown | expected).sum() > 0.9
    thickness = (sdf < 0).sum(0).float() * 2 / 127
    assert thickness.max() < 0.8 * THINNEST + 3 * 2 / 127


def test_far_distances_are_true_ones():
    axis = torch.linspace(-1, 1, 48)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    true = torch.sqrt(x**2 + y**2 + z**2) - 0.5
    assert (redistance(true.clamp(-0.1, 0.1), 2 / 47) - true).abs().max() < 0.05


def test_missing_weights_are_told(tmp_path):
    with pytest.raises(WeightsError, match="missing"):
        predict(torch.zeros(8, 8, 3), torch.ones(8, 8), None, "cpu", tmp_path / "none.safetensors")


@pytest.fixture(scope="module")
def lit_ball() -> tuple[torch.Tensor, torch.Tensor]:
    """A shaded ball that fills the frame."""
    axis = frame.pixel_axis(128)
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    z = (frame.FILL**2 - x**2 - y**2).clamp(min=0).sqrt()
    light = (0.25 + 0.75 * (0.3 * x + 0.7 * y + 0.65 * z).clamp(min=0) / frame.FILL).clamp(0, 1)
    return light[..., None] * torch.tensor([0.8, 0.5, 0.3]), disc(frame.FILL, 128)


@pytest.mark.skipif(not weights_present(), reason="no weights in this checkout")
def test_shipped_network_sees_a_ball(lit_ball):
    rgb, mask = lit_ball
    said = predict(rgb, mask, FOV, "cpu")
    size = said.mask.shape[-1]
    axis = frame.pixel_axis(size)
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    height = (frame.FILL**2 - x**2 - y**2).clamp(min=0).sqrt()
    inside = height > 0.25
    assert (said.front_depth + height)[inside].abs().mean() < 0.15
    truth = torch.stack([x, y, height], -1) / frame.FILL
    angle = torch.rad2deg(torch.arccos((said.normal * truth).sum(-1).clamp(-1, 1)))
    assert angle[inside].mean() < 25
    assert said.fov == FOV and 0 < said.elevation_doubt < 1.5
    inflated = (said.volume < 0).float().sum() / (4 / 3 * math.pi * frame.FILL**3 / (2 * 2 * 2.5) * said.volume.numel())
    assert 0.5 < float(inflated) < 1.6


def test_only_a_network_with_a_cameras_head_doubts_its_elevation(lit_ball, tmp_path):
    for view in (False, True):
        path = tmp_path / f"{view}.safetensors"
        export_network(ShapeNetwork((8, 8, 16), (1, 1, 1), (1, 1), 8, 4, view=view), path)
        assert (predict(*lit_ball, FOV, "cpu", path).elevation_doubt > 0) == view


@pytest.mark.skipif(not weights_present(), reason="no weights in this checkout")
def test_shipped_network_answers_a_mirrored_picture_with_a_mirrored_answer(lit_ball):
    rgb, mask = lit_ball
    rgb, mask = rgb.clone(), mask.clone()
    mask[:40, :64] = 0
    said, other = predict(rgb, mask, FOV, "cpu"), mirrored(predict(rgb.flip(1), mask.flip(1), FOV, "cpu"))
    inside = said.mask > 0.5
    assert (said.front_depth - other.front_depth)[inside].abs().mean() < 0.08
    assert (said.volume - other.volume).abs().mean() < 0.08
    assert (said.normal * other.normal).sum(-1)[inside].mean() > 0.9


def test_a_hollow_that_has_lost_its_far_wall_is_filled() -> None:
    """A pot seen from its side: front wall everywhere, far wall only in the upper half of the volume, in the layers everywhere."""
    size = 64
    axis = torch.linspace(-1, 1, size)
    mask = ((axis[:, None].abs() < 0.7) & (axis.abs() < 0.7)).float()
    empty = torch.zeros(96, size, size)
    depth = bin_depths(empty)[:, None, None].expand_as(empty)

    def slab(near: float, far: float) -> torch.Tensor:
        return torch.maximum(torch.maximum(near - depth, depth - far), silhouette_distance(mask).expand_as(depth))

    front, wall, back = slab(-0.5, -0.35), slab(0.3, 0.5), torch.full((size, size), 0.5)
    upper = (axis < 0)[:, None].expand(size, size)
    pot = RayVolume(torch.where(upper, torch.minimum(front, wall), front), torch.ones_like(empty))
    found = without_lost_walls(pot, mask > 0, mask, back)
    first, last, solid = crossings(found.distance, bin_depths(empty))
    inside = mask > 0.5
    assert torch.equal(solid, inside) and bool(((first + 0.5).abs() < 0.02)[inside].all())
    assert bool(((last - 0.5).abs() < 0.02)[inside].all())
    between = found.distance[bin_depths(empty).abs() < 0.25]
    columns = axis.abs() < 0.6
    assert bool((between[:, (axis > 0.1) & columns][..., columns] < 0).all()), "filled where the wall was lost"
    assert bool((between[:, (axis < -0.2) & columns][..., columns] > 0).all()), "hollow where it was not"
    whole = RayVolume(torch.minimum(front, wall), torch.ones_like(empty))
    assert torch.equal(without_lost_walls(whole, mask > 0, mask, back).distance < 0, whole.distance < 0)
    known = without_lost_walls(pot, mask < 0, mask, back)
    assert torch.equal(known.distance, torch.maximum(pot.distance, silhouette_distance(mask))), "what is known for sure stays"


def test_what_is_seen_at_a_grazing_angle_stays_in_one_piece():
    """Each ray of a thin sheet that slants steeply away has its own depth; thickened, neighbours overlap."""
    axis = frame.pixel_axis(SIZE)
    inside = (axis[:, None].abs() < 0.15).expand(SIZE, SIZE) & (axis[None].abs() < 0.7)
    slant = (-axis[:, None] * 4.0).expand(SIZE, SIZE)
    half, step = torch.full_like(slant, 0.01), 4.0 * 2 / SIZE
    lacking = lacking_overlap(slant, half, inside)
    assert (half + lacking)[inside] == pytest.approx(torch.full_like(slant, step)[inside], rel=1e-3)  # then it shares a step with the next
    assert not lacking[~inside].any()
    full = torch.ones(SIZE, SIZE)
    rays = agree(torch.ones(frame.DEPTH_BINS, 64, 64), frame.bin_depths(), inside.float(), (slant, slant + 0.01), (full, full))
    column = (rays.distance < 0)[:, :, SIZE // 2]
    rows = torch.nonzero(inside[:, SIZE // 2])[:, 0]
    shared = [bool((column[:, a] & column[:, b]).any()) for a, b in itertools.pairwise(rows)]
    assert all(shared)


def test_the_near_rim_of_a_cup_is_not_thickened():
    """Rays just above it meet the far wall alone, those below it go through both: one stretch holds the other."""
    far = torch.arange(SIZE)[:, None].expand(SIZE, SIZE) < SIZE // 2
    start, stop = torch.where(far, 0.5, -0.5), torch.full((SIZE, SIZE), 0.6)
    assert not lacking_overlap((start + stop) / 2, (stop - start) / 2, torch.ones(SIZE, SIZE, dtype=torch.bool)).any()
