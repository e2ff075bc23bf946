"""Where SyncDreamer's sides and their volume meet: by points whose places are worked out by hand, and by the published camera matrices."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from img23d.backends.depth_attention import MIDDLE, UPWARDS, DepthAttention, DepthBlock, DepthBlocks
from img23d.backends.sync_volume import AZIMUTHS_DEG, DISTANCE, REACH, cameras, in_pictures, in_volume

sys.path.insert(0, str(Path(__file__).parent))
from sync_network import projection

SIZE, VOXELS, DEPTHS = 32, 32, 48
LINE = torch.linspace(-0.5, 0.5, VOXELS)


def in_samples(grid: torch.Tensor, count: int) -> torch.Tensor:
    """Coordinates of `grid_sample` with aligned corners as numbers of samples."""
    return (grid + 1) / 2 * (count - 1)


def test_sides_are_sixteenths_of_a_turn_thirty_degrees_high() -> None:
    seen = cameras()
    assert AZIMUTHS_DEG[:3] == (0.0, 22.5, 45.0) and len(seen) == 16
    torch.testing.assert_close(seen.position.norm(dim=-1), torch.full((16,), DISTANCE))
    torch.testing.assert_close(seen.position[:, 1], torch.full((16,), 0.75))
    torch.testing.assert_close(seen.position[4], torch.tensor([1.5 * math.cos(math.pi / 6), 0.75, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(seen.focal * 256, torch.full((16, 2), 280.0))


@pytest.mark.parametrize(
    ("side", "point", "across", "down"),
    [
        (0, (0.0, 0.0, 0.0), 16.0, 16.0),
        (4, (0.3, 0.0, 0.0), 16.0 - 35 * 0.3 / 1.5, 16.0),  # from +y, x goes to the left
        (0, (0.0, 0.3, 0.0), 16.0 + 35 * 0.3 / 1.5, 16.0),  # from +x, y goes to the right
        (8, (0.0, 0.3, 0.0), 16.0 - 35 * 0.3 / 1.5, 16.0),
        (0, (0.0, 0.0, 0.4), 16.0, 16.0 - 35 * 0.4 * math.cos(math.pi / 6) / (1.5 - 0.4 * 0.5)),  # what is higher is nearer and above
    ],
)
def test_a_point_of_the_world_is_where_its_side_sees_it(side: int, point: tuple[float, ...], across: float, down: float) -> None:
    at = in_samples(in_pictures(cameras(), VOXELS, SIZE), SIZE)[side].reshape(VOXELS, VOXELS, VOXELS, 2)
    # places go linearly enough from voxel to voxel to be read between them
    where = torch.tensor(point)[None, None, None, None] / 0.5
    found = F.grid_sample(at.permute(3, 0, 1, 2)[None], where, align_corners=True).flatten()
    assert found.tolist() == pytest.approx([across, down], abs=0.02)


def test_places_are_those_of_the_published_matrices() -> None:
    at = in_samples(in_pictures(cameras(), VOXELS, SIZE), SIZE)
    within = in_volume(cameras(), DEPTHS, SIZE) * 0.5
    for side in (0, 1, 6, 15):
        matrix = projection(side, SIZE)
        z, y, x = torch.meshgrid(LINE, LINE, LINE, indexing="ij")
        seen = torch.stack([x, y, z], -1).reshape(-1, 3) @ matrix[:, :3].T + matrix[:, 3]
        torch.testing.assert_close(at[side].reshape(-1, 2), seen[:, :2] / seen[:, 2:], atol=1e-3, rtol=1e-5)
        back = within[side].reshape(-1, 3) @ matrix[:, :3].T + matrix[:, 3]
        depth, down, across = torch.meshgrid(
            torch.linspace(DISTANCE - REACH, DISTANCE + REACH, DEPTHS), torch.arange(32.0), torch.arange(32.0), indexing="ij"
        )
        torch.testing.assert_close(back[:, 2], depth.flatten(), atol=1e-4, rtol=0)
        torch.testing.assert_close(back[:, 0] / back[:, 2], across.flatten(), atol=1e-3, rtol=0)
        torch.testing.assert_close(back[:, 1] / back[:, 2], down.flatten(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("voxel", [(10, 20, 7), (26, 12, 18)])  # along z, y, x
def test_a_feature_goes_from_the_pictures_into_its_voxel_and_from_there_into_its_frustums_cell(voxel: tuple[int, int, int]) -> None:
    point = LINE[[voxel[2], voxel[1], voxel[0]]]
    seen = torch.stack([projection(side, SIZE)[:, :3] @ point + projection(side, SIZE)[:, 3] for side in range(16)])
    at = seen[:, :2] / seen[:, 2:]
    down, across = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    bumps = torch.exp(-((across - at[:, 0, None, None]) ** 2 + (down - at[:, 1, None, None]) ** 2))[:, None]
    inside = F.grid_sample(bumps, in_pictures(cameras(), VOXELS, SIZE), align_corners=True).reshape(16, VOXELS, VOXELS, VOXELS)
    highest = int(inside.sum(0).argmax())
    assert (highest // VOXELS**2, highest // VOXELS % VOXELS, highest % VOXELS) == voxel
    volume = torch.zeros(1, 1, VOXELS, VOXELS, VOXELS)
    volume[(0, 0, *voxel)] = 1
    volume = F.avg_pool3d(F.pad(volume, (2,) * 6), 3, 1)[..., 1:-1, 1:-1, 1:-1]
    frustums = F.grid_sample(volume.expand(16, -1, -1, -1, -1), in_volume(cameras(), DEPTHS, SIZE), align_corners=True)[:, 0]
    for side, frustum in enumerate(frustums):
        weight = frustum / frustum.sum()
        deep, row, column = torch.meshgrid(torch.arange(48.0), torch.arange(32.0), torch.arange(32.0), indexing="ij")
        found = [float((weight * one).sum()) for one in (column, row, deep)]
        wanted = [*at[side].tolist(), float((seen[side, 2] - (DISTANCE - REACH)) / (2 * REACH) * 47)]
        assert found == pytest.approx(wanted, abs=0.35)


def test_a_place_reads_the_depths_behind_it_and_no_others() -> None:
    attention = DepthAttention(8, 6)
    generator = torch.Generator().manual_seed(0)
    places, volume = torch.randn(1, 8, 4, 4, generator=generator), torch.randn(1, 6, 5, 4, 4, generator=generator)
    changed = volume.clone()
    changed[0, :, 3, 1, 2] += 1
    with torch.no_grad():
        moved = (attention(places, changed) - attention(places, volume)).abs().amax((0, 1)) > 1e-6
        turned = attention(places, volume.flip(2))
        torch.testing.assert_close(turned, attention(places, volume))  # depths have no order of their own
        # where all depths are alike it is their value, whatever is asked
        same = volume[:, :, :1].expand(-1, -1, 5, -1, -1)
        torch.testing.assert_close(attention(places, same), attention.to_out(attention.to_v(same)[:, :, 0]))
    assert moved.nonzero().tolist() == [[1, 2]]


def test_blocks_stand_where_the_published_network_has_them() -> None:
    channels, features = (8, 16, 24, 24), (8, 16, 32, 64)
    blocks = DepthBlocks(channels, features)
    levels = [(block.proj_in[0].in_channels, block.proj_context[0].in_channels) for block in blocks.output_conditions]
    assert levels == [(24, 32), (24, 32), (24, 16), (16, 16), (16, 16), (16, 8), (8, 8), (8, 8), (8, 8)]
    assert (MIDDLE.part, UPWARDS[2].part, UPWARDS[5].part) == ("mid_block", "up_blocks.1.upsamplers.0", "up_blocks.2.upsamplers.0")
    silent = DepthBlock(8, 16)
    torch.nn.init.zeros_(silent.proj_out[5].weight)  # as it was before its training
    picture = torch.randn(1, 8, 4, 4)
    assert torch.equal(silent(picture, torch.randn(1, 16, 6, 4, 4)), picture)
