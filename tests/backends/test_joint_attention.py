"""Views that look at each other, on a tiny random network."""

from __future__ import annotations

import copy

import pytest
import torch

from img23d.backends.joint_attention import join_views

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install 'img23d[diffusion]')")


@pytest.fixture(scope="module")
def unet() -> torch.nn.Module:
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 8), norm_num_groups=4,
    ).eval()  # fmt: skip


@torch.no_grad()
def answer(network: torch.nn.Module, noisy: torch.Tensor) -> torch.Tensor:
    return network(noisy, 500, encoder_hidden_states=torch.zeros(len(noisy), 3, 16)).sample


def joined(unet: torch.nn.Module, together: int) -> torch.nn.Module:
    other = copy.deepcopy(unet)
    join_views(other, together)
    return other


def test_sets_of_one_answer_as_the_plain_network(unet: torch.nn.Module) -> None:
    noisy = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(answer(joined(unet, 1), noisy), answer(unet, noisy))


def test_views_of_one_set_see_each_other_and_no_other_set(unet: torch.nn.Module) -> None:
    network, noisy = joined(unet, 2), torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    before, changed = answer(network, noisy), noisy.clone()
    changed[1] += 1
    after = answer(network, changed)
    assert (after[0] - before[0]).abs().max() > 1e-4  # its own set
    torch.testing.assert_close(after[2:], before[2:])  # the other one


def test_the_order_within_a_set_tells_nothing(unet: torch.nn.Module) -> None:
    network, noisy = joined(unet, 3), torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    turned = [2, 0, 1]
    torch.testing.assert_close(answer(network, noisy[turned]), answer(network, noisy)[turned], atol=1e-5, rtol=1e-4)


def test_equal_views_are_seen_as_one(unet: torch.nn.Module) -> None:
    noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3)).expand(4, -1, -1, -1)
    torch.testing.assert_close(answer(joined(unet, 4), noisy), answer(unet, noisy), atol=1e-5, rtol=1e-4)
