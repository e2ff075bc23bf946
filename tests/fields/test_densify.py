"""Where a cloud grows and what of it goes."""

import pytest
import torch

from img23d.backends.splat_numba import composite
from img23d.fields.densify import CHILDREN, FAINT, HUGE, LARGE, SHRINK, Watch, children, densified, kept, reset
from img23d.fields.gaussians import Gaussians, to_harmonics
from img23d.ops.splat import composite_tiles
from img23d.scene.cameras import orbit_degrees

CAMERA = orbit_degrees([20.0], 10.0, 2.4, 40.0)


def cloud(widths, opacities, points=None):
    count = len(widths)
    places = torch.randn(count, 3, generator=torch.Generator().manual_seed(1)) * 0.3 if points is None else torch.tensor(points)
    scales = torch.tensor(widths)[:, None] * torch.tensor([1.0, 0.7, 0.5])
    turned = torch.randn(count, 4, generator=torch.Generator().manual_seed(2))
    rgb = torch.rand(count, 3, generator=torch.Generator().manual_seed(3))
    return Gaussians(places, scales.log(), turned, torch.logit(torch.tensor(opacities)), to_harmonics(rgb))


def grow(of, pull, least=1.0, room=100):
    return densified(of, torch.tensor(pull), least, room, torch.Generator().manual_seed(0))


def test_small_ones_that_are_pulled_are_cloned_large_ones_split_the_rest_stays():
    before = cloud([0.02, 0.02, 0.1, 0.1], [0.5] * 4)
    after, origin = grow(before, [2.0, 0.5, 2.0, 0.5])
    assert origin.tolist() == [0, 1, 3, -1, -1, -1]
    assert torch.equal(after.points[3], before.points[0]) and torch.equal(after.log_scales[3], before.log_scales[0])
    torch.testing.assert_close(after.scales[4:], (before.scales[2] / SHRINK).expand(CHILDREN, 3))
    assert float((after.points[4:] - before.points[2]).norm(dim=1).min()) > 1e-3
    torch.testing.assert_close(1 - (1 - after.opacity[[0, 3]]).prod(), torch.tensor(0.5))
    assert all(torch.equal(now[1], then[1]) for now, then in zip(vars(after).values(), vars(before).values()))


def test_a_clone_leaves_the_picture_as_it_was():
    before = cloud([0.03] * 30, [0.1, 0.5, 0.9] * 10)
    after, _ = grow(before, [2.0] * 30)
    assert len(after) == 60
    rgb, cover = before.draw(CAMERA, 48, 48, composite)

    def change(of):
        picture = of.draw(CAMERA, 48, 48, composite)
        return float((picture[0] - rgb).abs().sum() / rgb.sum()), float((picture[1] - cover).abs().sum() / cover.sum())

    careless = Gaussians(*(torch.cat([value, value]) for value in vars(before).values()))
    assert max(change(after)) < 0.2 and min(change(careless)) > 2 * max(change(after))


def test_children_lie_in_their_parent():
    parent = cloud([0.2], [0.5], [[0.0, 0.0, 0.0]])
    many = Gaussians(*(value.expand(2000, *value.shape[1:]) for value in vars(parent).values()))
    places = children(many, torch.Generator().manual_seed(0)).points
    from img23d.ops.splat import rotation_matrices

    spread = rotation_matrices(parent.rotations)[0] * parent.scales[0]
    torch.testing.assert_close(places.T @ places / len(places), spread @ spread.T, atol=2e-3, rtol=0)


def test_faint_and_huge_ones_go():
    after, origin = grow(cloud([0.02, 0.02, 0.5], [0.5, 0.005, 0.5]), [0.0] * 3)
    assert origin.tolist() == [0] and len(after) == 1
    assert kept(cloud([HUGE * 0.99, HUGE * 1.01], [FAINT * 1.01] * 2)).tolist() == [True, False]


def test_only_as_many_are_added_as_there_is_room_for_the_most_pulled_first():
    _, origin = grow(cloud([0.02] * 4, [0.5] * 4), [2.0, 5.0, 3.0, 0.5], room=2)
    assert origin.tolist() == [0, 1, 2, 3, -1, -1]
    after, _ = grow(cloud([0.02] * 4, [0.5] * 4), [2.0, 5.0, 3.0, 0.5], room=2)
    assert after.opacity[0] == pytest.approx(0.5) and after.opacity[1] < 0.4
    assert len(grow(cloud([0.02], [0.5]), [9.0], room=0)[0]) == 1


def test_what_was_reset_is_faint_and_does_not_go_at_once():
    of = cloud([0.02] * 3, [0.9, 0.02, 0.011])
    logits = reset(of.opacity_logits)
    assert float(torch.sigmoid(logits).max()) == pytest.approx(FAINT, rel=0.01)
    assert bool(kept(Gaussians(of.points, of.log_scales, of.rotations, logits, of.harmonics)).all())
    assert float(LARGE) < HUGE


@pytest.mark.parametrize("together", [composite, composite_tiles])
def test_the_pull_is_the_change_of_the_loss_with_the_place_in_the_picture(together):
    of = cloud([0.1, 0.1], [0.8, 0.8], [[0.0, 0.0, 0.0], [0.0, 0.0, -30.0]])  # the second is far behind: a speck
    target = cloud([0.1], [0.8], [[0.06, 0.0, 0.0]]).draw(CAMERA, 40, 40, composite)[1]

    def loss(shift):
        points = of.points + torch.tensor([shift, 0.0, 0.0])
        moved = Gaussians(points.requires_grad_(), of.log_scales, of.rotations, of.opacity_logits, of.harmonics)
        return (moved.draw(CAMERA, 40, 40, watch)[1] - target).square().sum()

    watch = Watch(together, 2)
    for _ in range(2):
        loss(0.0).backward()
        watch.learn()
    assert watch.times.tolist()[0] == 2
    twice = watch.pull[0]
    # by finite differences: along the camera's own right, of which the loss alone changes much
    right, eps = CAMERA.cam_to_world[0, :3, 0], 1e-3
    values = []
    for sign in (1, -1):
        points = of.points.clone()
        points[0] += sign * eps * right
        moved = Gaussians(points, of.log_scales, of.rotations, of.opacity_logits, of.harmonics)
        values.append(float((moved.draw(CAMERA, 40, 40, together)[1] - target).square().sum()))
    step = 2 * eps * float(CAMERA.focal[0, 0]) / 2.4 * 2  # in halves of the picture, two of which it is wide
    along = abs(values[0] - values[1]) / step
    assert along <= float(twice) * 1.02 and along > 0.7 * float(twice)
    watch.forget(3)
    assert watch.pull.tolist() == [0.0] * 3
