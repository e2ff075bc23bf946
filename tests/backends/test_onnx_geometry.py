"""Any ONNX depth or normal model by path: what is guessed, what is told, frames on a synthetic sphere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from img23d.backends.monocular import estimate_geometry
from img23d.backends.onnx_geometry import axis_signs, load
from img23d.errors import WeightsError

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (pip install 'img23d[rembg]')")

SIDE = 64
Sphere = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def sphere() -> Sphere:
    """(S, S, 3) outward normals of a sphere in our camera frame, and (S, S) its mask."""
    y, x = torch.meshgrid(*[(torch.arange(SIDE) + 0.5) / SIDE * 2 - 1] * 2, indexing="ij")
    radius = 0.8
    mask = (x.square() + y.square() < (0.95 * radius) ** 2).float()
    z = (radius**2 - x.square() - y.square()).clamp_min(0).sqrt()
    return torch.nn.functional.normalize(torch.stack([x, -y, z], -1), dim=-1), mask


@pytest.mark.parametrize("axes", ["+x+y+z", "+x-y-z", "-x+y+z"])
def test_normal_frames_on_a_sphere(axes: str, sphere: Sphere, onnx_model: Callable[..., Path], tmp_path: Path) -> None:
    """A model that answers with its input, fed (n + 1) / 2 scaled to -1..1, answers with n in its own frame."""
    normal, mask = sphere
    path = onnx_model(tmp_path / "own.onnx", "Identity", ("image", (1, 3, SIDE, SIDE)), ("normals", (1, 3, SIDE, SIDE)))
    (tmp_path / "own.json").write_text(json.dumps({"normalize": "half", "axes": axes}))
    picture = (normal * axis_signs(axes) + 1) / 2
    found = estimate_geometry(picture, mask, "onnx", str(path))
    assert found.normal is not None and found.depth is None
    inside = mask > 0.5
    error = torch.rad2deg(torch.acos((found.normal * normal).sum(-1)[inside].clamp(-1, 1)))
    assert float(error.max()) < 0.3
    middle = found.normal[:, SIDE // 2]
    assert middle[8, 1] > 0.5 and middle[-9, 1] < -0.5 and found.normal[SIDE // 2, -9, 0] > 0.5  # up is up, right is right


def test_a_wrong_frame_is_far_off(sphere: Sphere, onnx_model: Callable[..., Path], tmp_path: Path) -> None:
    normal, mask = sphere
    path = onnx_model(tmp_path / "own.onnx", "Identity", ("image", (1, 3, SIDE, SIDE)), ("normals", (1, 3, SIDE, SIDE)))
    (tmp_path / "own.json").write_text('{"normalize": "half", "axes": "+x-y+z"}')
    found = estimate_geometry((normal + 1) / 2, mask, "onnx", str(path))
    assert float((found.normal * normal).sum(-1)[mask > 0.5].mean()) < 0.8


def test_depth_keeps_its_order_and_disparity_is_turned(sphere: Sphere, onnx_model: Callable[..., Path], tmp_path: Path) -> None:
    normal, mask = sphere
    near = normal[..., 2] * mask
    picture = near[..., None].expand(-1, -1, 3)
    node = ("ReduceMean", ("rgb01", (1, 3, SIDE, SIDE)), ("depth_m", (1, 1, SIDE, SIDE)), {"axes": [1], "keepdims": 1})
    depth = estimate_geometry(picture, mask, "onnx", str(onnx_model(tmp_path / "a.onnx", *node)))
    inside = mask > 0.5
    torch.testing.assert_close(depth.depth[inside], near[inside], atol=1e-4, rtol=0)
    assert not depth.from_disparity
    node = ("ReduceMean", ("rgb01", (1, 3, SIDE, SIDE)), ("disparity", (1, 1, SIDE, SIDE)), {"axes": [1], "keepdims": 1})
    turned = estimate_geometry(picture, mask, "onnx", str(onnx_model(tmp_path / "b.onnx", *node)))
    assert turned.from_disparity
    order = near[inside].argsort()
    assert bool((turned.depth[inside][order].diff() <= 1e-6).all())  # nearer, smaller
    share = turned.depth[inside].max() / turned.depth[inside].min()
    assert 1.4 < float(share) < 1.75


def test_disparity_of_a_plane_becomes_a_plane(onnx_model: Callable[..., Path], tmp_path: Path) -> None:
    """Disparity falls as 1 / depth: its inverse is linear where depth is, if the depth range is the assumed one."""
    depth = torch.linspace(1.0, 1.5, SIDE)[None].expand(SIDE, -1)
    disparity = (1 / depth - 1 / 1.5) / (1 - 1 / 1.5)
    node = ("ReduceMean", ("rgb01", (1, 3, SIDE, SIDE)), ("disp", (1, 1, SIDE, SIDE)), {"axes": [1], "keepdims": 1})
    found = estimate_geometry(
        disparity[..., None].expand(-1, -1, 3), torch.ones(SIDE, SIDE), "onnx", str(onnx_model(tmp_path / "p.onnx", *node))
    )
    assert float((found.depth - depth)[:, 2:-2].abs().max()) < 0.015


def test_any_size_for_dynamic_models_and_channels_last(sphere: Sphere, onnx_model: Callable[..., Path], tmp_path: Path) -> None:
    normal, mask = sphere
    free = onnx_model(
        tmp_path / "free.onnx", "ReduceMean", ("rgb01", (1, 3, "h", "w")), ("depth", (1, 1, "h", "w")), {"axes": [1], "keepdims": 1}
    )
    assert load(free, "cpu")[1].size == 384
    assert estimate_geometry(normal * 0.5 + 0.5, mask, "onnx", str(free)).depth.shape == mask.shape
    last = onnx_model(
        tmp_path / "last.onnx", "ReduceMean", ("rgb01", (1, SIDE, SIDE, 3)), ("depth", (1, SIDE, SIDE)), {"axes": [3], "keepdims": 0}
    )
    assert load(last, "cpu")[1].channels_last
    want = (normal * 0.5 + 0.5).mean(-1)
    found = estimate_geometry(normal * 0.5 + 0.5, torch.ones_like(mask), "onnx", str(last)).depth
    torch.testing.assert_close(found, want, atol=1e-4, rtol=0)


def test_clear_errors(sphere: Sphere, onnx_model: Callable[..., Path], tmp_path: Path) -> None:
    picture, mask = sphere[0] * 0.5 + 0.5, sphere[1]
    sound = onnx_model(tmp_path / "sound.onnx", "Identity", ("audio", (1, 16000)), ("text", (1, 16000)))
    with pytest.raises(WeightsError, match=r"no input of sound\.onnx is a picture"):
        estimate_geometry(picture, mask, "onnx", str(sound))
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(b"\x08\x08" + b"\x3a\xff" * 40)
    with pytest.raises(WeightsError, match="cannot be used"):
        estimate_geometry(picture, mask, "onnx", str(torn))
    told = onnx_model(tmp_path / "told.onnx", "Identity", ("image", (1, 3, SIDE, SIDE)), ("normals", (1, 3, SIDE, SIDE)))
    for content, problem in (('{"colour": 1}', "unknown field 'colour'"), ('{"output": "x"}', "out of range"), ("{", "cannot be read")):
        told.with_suffix(".json").write_text(content)
        with pytest.raises(WeightsError, match=problem):
            estimate_geometry(picture, mask, "onnx", str(told))
    told.with_suffix(".json").write_text('{"output": "depth"}')
    with pytest.raises(WeightsError, match="no depth map"):
        estimate_geometry(picture, mask, "onnx", str(told))


def test_real_fastdepth() -> None:
    """FastDepth (Apache-2.0), where IMG23D_TEST_WEIGHTS names the folder that holds it."""
    path = Path(os.environ.get("IMG23D_TEST_WEIGHTS", "")) / "fastdepth_f32_dyn.onnx"
    if not path.is_file():
        pytest.skip("IMG23D_TEST_WEIGHTS does not name a folder with fastdepth_f32_dyn.onnx")
    model = load(path, "cpu")[1]
    assert (model.normalize, model.output, model.channels_last) == ("none", "depth", False) and model.size % 32 == 0
    # A corridor: walls, floor and ceiling run towards a dark middle.
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 224)] * 2, indexing="ij")
    away = 1 / torch.maximum(x.abs(), y.abs()).clamp_min(0.12)
    picture = (0.9 / away.sqrt())[..., None].expand(-1, -1, 3).clamp(0, 1)
    depth = estimate_geometry(picture, torch.ones(224, 224), "onnx", str(path)).depth
    assert 0.3 < float(depth.min()) < float(depth.max()) < 12  # metres, of a room
    assert float(depth[96:128, 96:128].mean()) > float(depth[:, :16].mean())
