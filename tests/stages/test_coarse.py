"""What is known for sure stays, whichever kind of field is fitted."""

from dataclasses import replace

import pytest
import torch

from img23d.config import Cloud, Fit, Ramp
from img23d.stages import coarse
from img23d.stages.coarse import fit
from img23d.stages.fit import color_volume

QUICK = Fit(resolution=40, levels=3, steps=40, rays=400, samples=24, learning_rate=0.02, volume=Ramp(0.1, 0.1))
CLOUD = Fit(field="gaussians", resolution=40, steps=6, cloud=Cloud(count=600, size=48))


def half_known(ball):
    """The left half of a small ball for sure, the other guessed."""
    prior = ball.prior(0.5, resolution=64)
    half = torch.linspace(-1, 1, 64) > 0.25
    prior = replace(prior, confidence=torch.where(half, 0.5, 0.95).expand_as(prior.sdf).clone())
    prior.confidence[prior.sdf.abs() > 0.15] = 0.95
    assert prior.known
    return prior


def test_a_guessed_handle_leaves_the_cup_known(ball):
    prior = ball.prior(0.5, resolution=64)
    handle = torch.linspace(-1, 1, 64) > 0.2  # a fifth of the solid
    cup = replace(prior, confidence=torch.where(handle, 0.3, 0.9).expand_as(prior.sdf).clone())
    assert float(cup.confidence[cup.sdf < 0].mean()) < 0.8 and cup.known
    assert not replace(prior, confidence=torch.full_like(prior.sdf, 0.8)).known


@pytest.mark.parametrize("options", [QUICK, CLOUD])
def test_what_is_known_for_sure_stays_as_it_is_in_full_resolution(ball, context, options):
    prior = half_known(ball)
    field = fit(ball.views(), prior, options, context)
    assert field.known is not None and field.sdf_volume.shape == prior.sdf.shape
    assert torch.equal(field.sdf_volume[field.known], prior.sdf[field.known])
    assert bool(field.known[..., :28].all()) and not bool(field.known[32, 32, 48])
    assert (field.cloud is None) == (options is QUICK)


def test_what_is_not_known_follows_the_photo(ball, context):
    """The photo shows a larger ball: only the side that is not known grows."""
    field = fit(ball.views(), half_known(ball), QUICK, context)
    line = torch.linspace(0.2, 0.95, 151)
    sides = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    values = field.sdf((sides[:, None] * line[:, None]).reshape(-1, 3)).reshape(2, -1)
    left, right = line[(values > 0).float().argmax(1)].tolist()
    assert left == pytest.approx(0.5, abs=0.01) and right > 0.54


def test_nothing_is_fitted_where_all_is_known_unless_a_cloud_is_wanted(ball, context, monkeypatch):
    views, prior = ball.views(), ball.prior(0.5, resolution=64)
    fitted = fit(views, prior, QUICK, context)
    assert torch.equal(fitted.sdf_volume, prior.sdf) and fitted.known is not None and bool(fitted.known.all())
    assert torch.equal(fitted.color_volume, color_volume(views, prior))
    monkeypatch.setitem(coarse.FIELDS, "neus", None)
    assert torch.equal(fit(views, prior, QUICK, context).sdf_volume, prior.sdf)
    cloud = fit(views, prior, CLOUD, context)
    assert torch.equal(cloud.sdf_volume, prior.sdf) and cloud.cloud is not None
