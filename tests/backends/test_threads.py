"""Threads that add up in a fixed order."""

import torch

from img23d.backends.threads import repeatable


def test_gradients_add_up_in_the_same_order_every_time():
    # many numbers for few places, enough of them for torch to share the work between its threads: left alone, no two sums are alike
    generator = torch.Generator().manual_seed(0)
    place, weight = torch.randint(50, (200_000,), generator=generator), torch.randn(200_000, 3, generator=generator)

    def gradient():
        value = torch.zeros(50, 3, requires_grad=True)
        (value[place] * weight).sum().backward()
        return value.grad.numpy().tobytes()

    torch.set_num_threads(2)
    with repeatable(torch.device("cpu")):
        assert torch.get_deterministic_debug_mode() == 1
        assert len({gradient() for _ in range(6)}) == 1
    assert torch.get_deterministic_debug_mode() == 0
