"""The camera read from the network's own normals: it learns where the camera stood, and nothing else changes for it."""

from __future__ import annotations

import math

import torch
from tests.priors.test_network import drawn_sample

from img23d.priors.network import ELEVATION_MIDDLE, ELEVATION_SPREAD, INPUTS, ShapeNetwork
from img23d.priors.view_head import PLANES, ViewHead, view_planes
from img23d.training.losses import Truth, prior_losses
from img23d.training.options import NETWORKS, TrainOptions
from img23d.training.shape_trainer import Trainer


def lawn(elevation: float, roll: float, size: int = 64) -> torch.Tensor:
    """(1, PLANES, 32, 32) of a level ground seen from an elevation by a camera that leans."""
    up = torch.tensor([-math.cos(elevation) * math.sin(roll), math.cos(elevation) * math.cos(roll), math.sin(elevation)])
    flat, full = torch.zeros(1, 2, size, size), torch.ones(1, 1, size, size)
    return view_planes(full, up[None, :, None, None].expand(1, 3, size, size), flat, full * -3)


def test_elevation_and_roll_are_read_from_normals():
    torch.manual_seed(0)
    head, random = ViewHead(8), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(head.parameters(), 3e-3)
    # At a rate that stays, a last step away from the mean fails on one processor what passes on another.
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.005, 200)

    def drawn(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        views = torch.rand(count, 2, generator=random) * torch.tensor([1.4, 0.5]) - torch.tensor([0.0, 0.25])
        return torch.cat([lawn(*view.tolist()) for view in views]), views

    for _ in range(200):
        planes, views = drawn(32)
        loss = (head(planes, torch.zeros(32, 8))[:, :2] - views).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
    planes, views = drawn(64)
    error = (head.eval()(planes, torch.zeros(64, 8))[:, :2] - views).detach().abs().mean(0)
    assert float(error[0]) < 0.1 and float(error[1]) < 0.06  # mere guesses would err by .35 and .125


def test_planes_are_as_large_whatever_the_picture_is():
    for size in (64, 128):
        planes = lawn(0.3, 0.1, size)
        assert planes.shape == (1, PLANES, 32, 32)
        torch.testing.assert_close(planes[:, 2], torch.full_like(planes[:, 2], math.cos(0.3) * math.cos(0.1)))


def test_nothing_but_the_camera_learns_from_the_camera():
    torch.manual_seed(0)
    network = ShapeNetwork(**NETWORKS["tiny"])
    torch.nn.init.normal_(network.view.view.weight)
    more = network(torch.rand(2, INPUTS, 64, 64)).pose[:, 0].sum()
    network.pose.requires_grad_(False)
    more.backward()
    touched = {
        name.split(".")[0] for name, weight in network.named_parameters() if weight.grad is not None and bool(weight.grad.abs().any())
    }
    # Only what the older head says of the whole picture reaches the rest of the network.
    assert "view" in touched and not touched & {"up", "up_blocks", "mixers", "planes", "volume", "fine_block", "to_fine"}


class Same:
    """The same two samples again and again."""

    def samples(self, step: int) -> list:
        return [drawn_sample(0), drawn_sample(1)]


def test_only_the_view_is_taught_when_asked(tmp_path):
    trainer = Trainer(TrainOptions(size="tiny", steps=4, batch=2, only="view"), Same(), tmp_path)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    for _ in range(3):
        trainer.one_step()
    after = trainer.network.state_dict()
    changed = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"view"}


def test_what_does_not_lean_does_not_make_every_answer_upright():
    """Of pictures most of which do not lean at all, the best answer for all is the mean lean, not that of most."""
    torch.manual_seed(0)
    with torch.no_grad():
        answer = ShapeNetwork(**NETWORKS["tiny"]).eval()(torch.rand(4, INPUTS, 64, 64))
    roll = torch.tensor([0.0, 0.0, 0.0, 0.2])
    pose = torch.stack([torch.zeros(4), roll, torch.zeros(4)], 1)
    truth = Truth(answer.volume, answer.depth, answer.normal, answer.back_rgb, torch.ones(4, 1, 64, 64), pose)

    def loss(said: float) -> float:
        told = torch.stack([torch.zeros(4), torch.full((4,), said), torch.zeros(4)], 1)
        return float(prior_losses(answer._replace(pose=told), truth)["roll"])

    assert min((0.0, 0.05, 0.1, 0.2), key=loss) == 0.05


def test_the_head_is_believed_only_of_views_from_above():
    torch.manual_seed(0)
    network = ShapeNetwork(**NETWORKS["tiny"]).eval()
    inputs = torch.rand(2, INPUTS, 64, 64)
    with torch.no_grad():
        plain = network(inputs).pose
        for degrees, believed in ((30.0, False), (70.0, True)):
            network.view.view.bias[0] = (math.radians(degrees) - ELEVATION_MIDDLE) / ELEVATION_SPREAD
            told = network(inputs).pose[:, 0]
            more = math.radians(degrees) - ELEVATION_MIDDLE
            torch.testing.assert_close(told, plain[:, 0] + more if believed else plain[:, 0])
