"""Muon, the optimiser of the embedded networks' inner weights.

torch.optim.Muon takes matrices only; here the kernels of convolutions are matrices too, one row per channel that goes out.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

ROUNDS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)
AS_ADAM = 0.2  # root mean square of an update, as large as Adam's usually is: rates and decays serve for both


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal: every direction of a matrix moves alike, not only the few that dominate its gradient.

    Args:
        weights: with two dimensions or more.
        lr: learning rate, as for Adam.
        momentum: how much of the averaged gradient one step keeps.
        weight_decay: shrinks weights by this times the rate each step.

    Reference: Jordan et al., Muon (2024); Liu et al., Muon is scalable for LLM training (2025), equation 4 for the scale.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move all weights that have a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                average = self.state[weight].setdefault("average", torch.zeros_like(weight))
                average.lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(average, group["momentum"]).reshape(len(weight), -1)
                update = orthogonal(ahead) * (AS_ADAM * max(ahead.shape) ** 0.5)
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update.reshape(weight.shape), alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix (M, N) with all its singular values brought near 1 (0.7 to 1.2), which the exact polar factor is not worth waiting for.

    The quintic of a matrix is a polynomial of its Gram matrix times the matrix: all rounds work on the smaller square.

    Reference: Jordan et al. (2024), Newton-Schulz iteration with a quintic.
    """
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    turn = torch.eye(len(gram), dtype=x.dtype, device=x.device)
    for _ in range(ROUNDS):
        factor = torch.addmm(b * gram, gram, gram, alpha=c)
        factor.diagonal().add_(a)
        turn, gram = factor @ turn, factor @ gram @ factor
    x = turn @ x
    return x.T if tall else x


def optimizers(network: nn.Module, inner: Iterable[nn.Module], rate: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the kernels of convolutions in the ``inner`` modules; AdamW for all else: first and last layers, norms and biases."""
    kernels = [layer.weight for module in inner for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    taken = {id(kernel) for kernel in kernels}
    others = [weight for weight in network.parameters() if id(weight) not in taken]
    # Norms and biases have nothing to gain from decay, and what is left are few matrices.
    return [Muon(kernels, rate, weight_decay=weight_decay), torch.optim.AdamW(others, rate, betas=(0.9, 0.99), weight_decay=0.0)]
