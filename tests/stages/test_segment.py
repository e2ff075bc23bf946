"""Cut-outs: sources of the mask, framing, and one clear line for what cannot be used."""

from dataclasses import replace

import pytest
import torch

from img23d.config import Segment
from img23d.errors import InputError
from img23d.io.images import Photo
from img23d.stages.segment import FILL, Maps, segment


def disc(height=200, width=300, center=(120, 90), radius=60):
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return (radius - ((x - center[0]) ** 2 + (y - center[1]) ** 2).sqrt() + 0.5).clamp(0, 1)


def photo(alpha=None):
    rgb = torch.full((200, 300, 3), 0.9)
    rgb[disc() > 0.5] = torch.tensor([0.8, 0.2, 0.1])
    return Photo(rgb, alpha)


def test_the_object_is_centred_and_fills_the_frame(context):
    views = segment(photo(disc()), Maps(), None, Segment(), context)
    size = views.mask.shape[-1]
    rows = torch.nonzero((views.mask[0] > 0.5).any(1)).flatten()
    assert (len(rows) / size) == pytest.approx(FILL, abs=2.5 / size)
    assert int(rows[0]) + int(rows[-1]) == pytest.approx(size - 1, abs=2)
    assert torch.allclose(views.rgb[0][views.mask[0] > 0.5].mean(0), torch.tensor([0.8, 0.2, 0.1]), atol=0.01)


def test_colours_spread_past_the_outline(context):
    views = segment(photo(disc()), Maps(), None, Segment(), context)
    outside = views.rgb[0][views.mask[0] < 0.5]
    assert float((outside - torch.tensor([0.8, 0.2, 0.1])).abs().max()) < 0.15


def test_a_given_mask_wins(context):
    half = disc() * (torch.arange(300) < 120)
    views = segment(photo(disc()), Maps(mask=half), None, Segment(), context)
    columns = torch.nonzero((views.mask[0] > 0.5).any(0)).flatten()
    assert len(columns) / views.mask.shape[-1] == pytest.approx(FILL / 2, abs=0.02)


def test_a_plain_background_is_removed_with_a_warning(context):
    views = segment(photo(), Maps(), None, Segment(method="plain"), context)
    truth = segment(photo(disc()), Maps(), None, Segment(), replace(context, warnings=[]))
    both, either = (views.mask > 0.5) & (truth.mask > 0.5), (views.mask > 0.5) | (truth.mask > 0.5)
    assert float(both.sum() / either.sum()) > 0.95
    assert any("plain background" in line for line in context.warnings)


def test_the_crop_has_its_share_of_the_field_of_view(context):
    views = segment(photo(disc()), Maps(), 60.0, Segment(), context)
    # the crop is 120 / FILL of the photo's 200 rows
    expected = 0.5 / (0.57735 * 120 / FILL / 200)
    assert float(views.cameras.focal[0, 1]) == pytest.approx(expected, rel=0.02)


def test_maps_are_cropped_with_the_photo(context):
    depth = torch.arange(300.0).expand(200, 300)
    normal = torch.zeros(200, 300, 3)
    normal[..., 2] = 1
    views = segment(photo(disc()), Maps(depth=depth, normal=normal), None, Segment(), context)
    inside = views.mask[0] > 0.99
    assert views.depth is not None and views.normal is not None
    assert float(views.depth[0][inside].mean()) == pytest.approx(119.5, abs=1.0)
    assert float(views.normal[0][inside][:, 2].min()) > 0.999


@pytest.mark.parametrize(("radius", "kept"), [(24, False), (26, True)])
def test_what_is_a_quarter_as_large_is_meant_too(context, radius, kept):
    both = torch.maximum(disc(center=(80, 100), radius=50), disc(center=(240, 100), radius=radius))
    share = float((segment(photo(both), Maps(), None, Segment(), context).mask > 0.5).float().mean())
    assert (share < 0.4) == kept
    assert any("dropped" in line for line in context.warnings) != kept


def test_parts_are_picked(context):
    two = torch.maximum(disc(center=(80, 100), radius=50), disc(center=(240, 100), radius=30))
    size = segment(photo(two), Maps(), None, Segment(), context).mask
    assert float((size > 0.5).float().mean()) < 0.3  # both parts: the frame is as wide as they are together
    small = segment(photo(two), Maps(), None, Segment(pick="240,100"), context)
    assert float((small.mask > 0.5).float().mean()) == pytest.approx(0.785 * FILL**2, abs=0.02)
    for pick in ("5,5", "900,10", "x", "-20,-20", "inf,3"):
        with pytest.raises(InputError, match="pick"):
            segment(photo(two), Maps(), None, Segment(pick=pick), context)


@pytest.mark.parametrize(("alpha", "said"), [(torch.zeros(200, 300), "mask is empty"), (torch.ones(200, 300), "whole picture")])
def test_useless_masks(context, alpha, said):
    with pytest.raises(InputError, match=said):
        segment(photo(alpha), Maps(), None, Segment(), context)


def test_too_small_an_object(context):
    with pytest.raises(InputError, match="px across"):
        segment(photo(disc(radius=5)), Maps(), None, Segment(), context)


def test_alpha_asked_for_and_missing(context):
    with pytest.raises(InputError, match="no alpha"):
        segment(photo(), Maps(), None, Segment(method="alpha"), context)


def test_picks_are_in_pixels_of_the_file_though_it_was_reduced(context):
    two = torch.maximum(disc(center=(80, 100), radius=50), disc(center=(240, 100), radius=30))
    reduced = replace(photo(two), size=(400, 600))
    small = segment(reduced, Maps(), None, Segment(pick="480,200"), context)
    assert float((small.mask > 0.5).float().mean()) == pytest.approx(0.785 * FILL**2, abs=0.02)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_photo_of_one_colour(context, level):
    with pytest.raises(InputError, match="nothing can be seen"):
        segment(Photo(torch.full((200, 300, 3), level)), Maps(), None, Segment(), context)


def test_an_object_as_thin_as_a_line(context):
    wire = disc(2000, 2000, (1000, 1000), 900) - disc(2000, 2000, (1000, 1000), 897)
    picture = Photo(torch.where(wire[..., None] > 0.5, 0.1, 0.9).expand(-1, -1, 3).contiguous(), wire)
    with pytest.raises(InputError, match="too thin"):
        segment(picture, Maps(), None, Segment(), context)
