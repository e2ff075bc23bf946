"""The optimiser of the embedded networks."""

from __future__ import annotations

import torch
from torch import nn

from img23d.priors.network import ShapeNetwork
from img23d.training.muon import Muon, optimizers, orthogonal


def test_all_directions_come_out_alike() -> None:
    for shape in ((40, 90), (90, 40)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(1))))
        assert float(values.min()) > 0.6 and float(values.max()) < 1.3
    turned = torch.linalg.qr(torch.randn(30, 30, generator=torch.Generator().manual_seed(2)))[0]
    assert float((orthogonal(turned) * turned).sum()) / 30 > 0.65, "what is orthogonal keeps its directions"


def test_an_update_is_as_large_as_adams() -> None:
    for shape in ((16, 8, 3, 3), (64, 12)):
        weight = nn.Parameter(torch.zeros(shape))
        optimizer = Muon([weight], lr=0.01)
        weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(3))
        optimizer.step()
        assert 0.5 < float(weight.detach().square().mean().sqrt()) / (0.01 * 0.2) < 1.3


def test_it_solves_an_ill_conditioned_problem_that_gradient_descent_crawls_on() -> None:
    generator = torch.Generator().manual_seed(4)
    truth, scale = torch.randn(20, 30, generator=generator), torch.logspace(0, -2, 30)

    def left(step_with: type[torch.optim.Optimizer], rate: float) -> float:
        weight = nn.Parameter(torch.zeros(20, 30))
        optimizer = step_with([weight], lr=rate)  # type: ignore[call-arg]
        for step in range(300):
            optimizer.param_groups[0]["lr"] = rate * (1 - step / 300)
            optimizer.zero_grad()
            ((weight - truth) * scale).square().sum().backward()
            optimizer.step()
        return float((weight.detach() - truth).abs().mean())

    assert left(Muon, 0.1) < 0.25 * left(torch.optim.SGD, 0.4)


def test_every_weight_has_one_optimizer_and_ends_are_adams() -> None:
    network = ShapeNetwork((8, 16), (1, 1), (2,), 8, 8)
    muon, adam = optimizers(network, network.inner(), 1e-3, 0.02)
    sets = [{id(weight) for group in optimizer.param_groups for weight in group["params"]} for optimizer in (muon, adam)]
    assert not sets[0] & sets[1] and len(sets[0] | sets[1]) == len(list(network.parameters()))
    assert id(network.down_blocks[0][0].first.weight) in sets[0]
    assert {id(network.stem.weight), id(network.planes.weight), id(network.norm.weight)} <= sets[1]
