"""Counting and closing tunnels of solids on a grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from img23d.priors.tunnels import close_tunnels, hole_count, tunnel_count

SIZE = 40
STEP = 2 / (SIZE - 1)


def grid() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    axis = torch.linspace(-1, 1, SIZE)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return x, y, z


def ball() -> torch.Tensor:
    x, y, z = grid()
    return (x**2 + y**2 + z**2).sqrt() - 0.7


def drilled(radius: float) -> torch.Tensor:
    """A ball with a hole along y."""
    x, _, z = grid()
    return torch.maximum(ball(), radius - (x**2 + z**2).sqrt())


def test_tunnels_of_known_solids() -> None:
    x, y, z = grid()
    torus = ((x**2 + y**2).sqrt() - 0.6) ** 2 + z**2 - 0.04
    shell = torch.maximum(ball(), 0.4 - ball() - 0.7)
    box = torch.stack([x.abs(), y.abs(), z.abs()]).amax(0) - 0.6
    crossed = torch.minimum((x**2 + z**2).sqrt(), (y**2 + z**2).sqrt())
    two = torch.minimum(ball() + 0.4, ((x - 0.8) ** 2 + y**2 + z**2).sqrt() - 0.1)
    for solid, expected in ((ball(), 0), (torus, 1), (shell, 0), (two, 0), (torch.maximum(box, 0.2 - crossed), 3)):
        assert tunnel_count((solid < 0).numpy()) == expected
    assert tunnel_count(np.zeros((4, 4, 4), bool)) == 0


def test_holes_of_a_silhouette() -> None:
    mask = torch.zeros(64, 64)
    mask[8:56, 8:56] = 1
    assert hole_count(mask) == 0
    mask[20:28, 20:28] = 0
    mask[40:44, 40:48] = 0
    mask[50, 50] = 0  # noise
    assert hole_count(mask) == 2
    mask[0:30, 24] = 0  # the first is open to the outside now
    assert hole_count(mask) == 1


@pytest.mark.parametrize("radius", [0.08, 0.2])
def test_a_tunnel_that_the_photo_does_not_show_is_closed(radius: float) -> None:
    solid, mask = drilled(radius), torch.zeros(64, 64)
    mask[10:54, 10:54] = 1
    found = close_tunnels(solid, torch.full_like(solid, -9.0), mask, STEP)
    assert tunnel_count((found < 0).numpy()) == 0
    assert (found <= solid).all() and float((found - ball())[solid < 0].abs().max()) < radius + STEP
    far = ball() > 2 * STEP
    assert torch.equal(found[far] > 0, solid[far] > 0), "nothing grows outwards"


def test_what_the_photo_shows_stays_open() -> None:
    solid, mask = drilled(0.2), torch.zeros(64, 64)
    mask[10:54, 10:54] = 1
    x, _, z = grid()
    cone = 0.2 - (x**2 + z**2).sqrt()  # outside of the silhouette where the hole is
    assert torch.equal(close_tunnels(solid, cone, mask, STEP) < 0, solid < 0)
    mask[28:36, 28:36] = 0
    assert close_tunnels(solid, torch.full_like(solid, -9.0), mask, STEP) is solid


def test_a_plate_worn_through_is_closed() -> None:
    x, y, z = grid()
    radius = (x**2 + z**2).sqrt()
    plate = torch.maximum(y.abs() - 1.1 * STEP, radius - 0.7)
    worn = torch.maximum(plate, 0.12 - ((x - 0.2) ** 2 + z**2).sqrt())
    worn = torch.maximum(worn, 0.09 - ((x + 0.3) ** 2 + (z - 0.1) ** 2).sqrt())
    mask = torch.zeros(64, 64)
    mask[30:34, 10:54] = 1
    assert tunnel_count((worn < 0).numpy()) == 2
    whole = close_tunnels(worn, torch.full_like(worn, -9.0), mask, STEP)
    assert tunnel_count((whole < 0).numpy()) == 0
    # it has not grown thicker for it
    assert not bool((whole < 0)[y.abs() > 2.2 * STEP].any())
