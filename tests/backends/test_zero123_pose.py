"""What Zero-1-to-3 is told of a turn, in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from img23d.backends.zero123 import Turn, pose, tells_elevation


def test_the_pose_is_what_the_paper_tells_the_network() -> None:
    upwards = pose(Turn(90.0, 20.0, 10.0), tells_elevation=False)
    # the angle from the zenith falls as the camera rises; the camera went to its right
    assert upwards == pytest.approx([-math.radians(20), 1.0, 0.0, 0.0], abs=1e-9)
    assert pose(Turn(180.0, 0.0, 10.0), False) == pytest.approx([0.0, 0.0, -1.0, 0.0], abs=1e-9)
    assert pose(Turn(-90.0, 0.0, 10.0), False)[1] == pytest.approx(-1.0)


def test_stable_zero123_is_told_the_known_cameras_angle_from_the_zenith() -> None:
    assert pose(Turn(0.0, 0.0, 30.0), tells_elevation=True)[3] == pytest.approx(math.radians(60))
    assert pose(Turn(0.0, 25.0, -10.0), tells_elevation=True)[3] == pytest.approx(math.radians(100))


def test_which_of_both_it_is_goes_by_its_name_or_by_what_is_said() -> None:
    assert tells_elevation(Path("hub/models--ashawkey--stable-zero123-diffusers/snapshots/1"))
    assert not tells_elevation(Path("hub/models--bennyguo--zero123-xl-diffusers/snapshots/1"))
    assert tells_elevation(Path("mine"), "elevation") and not tells_elevation(Path("stable-zero123"), "distance")
