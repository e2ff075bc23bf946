"""Our Adam against torch's."""

from __future__ import annotations

import subprocess
import sys

import torch

from img23d.ops.adam import Adam


def test_it_takes_the_steps_of_torchs() -> None:
    def start() -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        return [torch.randn(shape, generator=generator).requires_grad_() for shape in ((50, 3), (7,), (4,))]

    ours, theirs = start(), start()
    rates = (0.03, 0.1)

    def groups(leaves: list[torch.Tensor]) -> list[dict]:
        return [{"params": leaves[:1], "lr": rates[0]}, {"params": leaves[1:], "lr": rates[1], "eps": 1e-3}]

    first = Adam(groups(ours), (0.8, 0.95), 30, 0.002)
    second = torch.optim.Adam(groups(theirs), betas=(0.8, 0.95))
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(second, 30, 0.002)
    for step in range(30):
        for optimizer, leaves in ((first, ours), (second, theirs)):
            optimizer.zero_grad()
            (leaves[0].square().sum() * (1 + step) + (leaves[1] - 3).abs().sum()).backward()  # the last leaf never has a gradient
            optimizer.step()
            for group in optimizer.param_groups:
                group["eps"] *= 1.1
        decay.step()
    for mine, torchs in zip(ours, theirs):
        torch.testing.assert_close(mine, torchs, atol=2e-6, rtol=1e-5)


def test_the_compiler_stays_unloaded() -> None:
    code = (
        "import sys, torch; from img23d.ops.adam import Adam\n"
        "leaf = torch.ones(3, requires_grad=True); adam = Adam([{'params': [leaf], 'lr': 0.1}], (0.9, 0.99), 5, 0.0)\n"
        "leaf.square().sum().backward(); adam.step(); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
