"""Pictures of half-finished shapes: the shape is where it should be, and nothing is drawn of nothing."""

import pytest
import torch

from img23d.fields.analytic import Sphere
from img23d.scene import Mesh
from img23d.stages.pictures import SIDE, field_form, form_picture


def test_a_sphere_covers_its_share_of_all_four_pictures():
    picture = field_form(Sphere(0.6), torch.device("cpu"))
    assert picture.shape == (SIDE, 4 * SIDE, 3)
    covered = (picture < 0.99).any(-1).reshape(SIDE, 4, SIDE).float().mean((0, 2))
    # Seen from 4.2 away in 28.5 degrees, a sphere of radius 0.6 covers a disc of 0.6 / sqrt(4.2^2 - 0.6^2) / tan(14.25 degrees).
    share = torch.pi / 4 * (0.6 / (4.2**2 - 0.6**2) ** 0.5 / 0.25397) ** 2
    assert covered.tolist() == pytest.approx([share] * 4, rel=0.03)


def test_no_faces_give_a_white_picture():
    assert float(form_picture(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))).min()) == 1.0
