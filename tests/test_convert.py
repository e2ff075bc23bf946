"""Converting: every format keeps the texture, the size and the axis asked for; nothing is overwritten unasked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from img23d.config import Config
from img23d.convert import convert, fewer_faces, step_folder
from img23d.errors import InputError, OutputError
from img23d.io.meshes import load_mesh, save_mesh
from img23d.io.splats import load_splats
from img23d.ops.topology import is_closed_manifold
from img23d.record import Given, Targets, keep
from img23d.scene import Mesh, TexturedMesh
from img23d.stages import artifacts
from img23d.stages.splats import Splatting

SIZE = 64


def ball(rings: int = 24, sectors: int = 32) -> TexturedMesh:
    """A closed unit sphere whose texture is its own position, so that a colour says where it belongs."""
    theta = torch.linspace(0, torch.pi, rings + 1)[1:-1]
    phi = torch.arange(sectors) * (2 * torch.pi / sectors)
    ring = torch.stack(
        [theta.sin()[:, None] * phi.sin(), theta.cos()[:, None].expand(-1, sectors), theta.sin()[:, None] * phi.cos()], -1
    ).reshape(-1, 3)
    vertices = torch.cat([ring, torch.tensor([[0.0, 1, 0], [0, -1, 0]])])
    top, bottom, faces = len(ring), len(ring) + 1, []
    for row in range(rings - 2):
        for column in range(sectors):
            a, b = row * sectors + column, row * sectors + (column + 1) % sectors
            c, d = a + sectors, b + sectors
            faces += [[a, c, b], [b, c, d]]
    last = (rings - 2) * sectors
    for column in range(sectors):
        after = (column + 1) % sectors
        faces += [[top, column, after], [bottom, last + after, last + column]]
    mesh = Mesh(vertices, torch.tensor(faces))
    from img23d.ops.atlas import unwrap
    from img23d.ops.bake import interpolate, pad, texel_surface

    uv, uv_faces = unwrap(mesh, SIZE)
    face, barycentric = texel_surface(uv, uv_faces, SIZE)
    texture = torch.zeros(SIZE, SIZE, 3)
    texture[face >= 0] = (interpolate(vertices, mesh.faces, face[face >= 0], barycentric[face >= 0]) * 0.5 + 0.5).clamp(0, 1)
    return TexturedMesh(mesh, uv, uv_faces, pad(texture, face >= 0))


@pytest.fixture(scope="module")
def asset() -> TexturedMesh:
    return ball()


def color_error(result: TexturedMesh) -> float:
    """Mean distance between the colour at the corners of faces and the position that they should show."""
    from img23d.io.textures import sample

    shown = sample(result.base_color, result.uv[result.uv_faces].reshape(-1, 2))
    where = result.mesh.vertices[result.mesh.faces].reshape(-1, 3)
    return float((shown - (torch.nn.functional.normalize(where, dim=-1) * 0.5 + 0.5)).abs().mean())


def test_fewer_faces_keep_the_surface_closed_and_its_colours(asset: TexturedMesh) -> None:
    result = fewer_faces(asset, 400, None)
    assert isinstance(result, TexturedMesh)
    assert len(result.mesh.faces) <= 400 and is_closed_manifold(result.mesh)
    assert result.base_color.shape == asset.base_color.shape
    assert color_error(result) < 0.03
    turned = replace(result, base_color=result.base_color.flip(0))
    assert color_error(turned) > 0.1, "the measure sees a texture that is upside down"


def test_enough_faces_already_change_nothing(asset: TexturedMesh) -> None:
    assert fewer_faces(asset, 10**6, None) is asset
    assert fewer_faces(asset.mesh, None, 256) is asset.mesh


def test_another_texture_size_is_resampled(asset: TexturedMesh) -> None:
    result = fewer_faces(asset, None, 2 * SIZE)
    assert isinstance(result, TexturedMesh)
    assert result.base_color.shape[0] == 2 * SIZE and color_error(result) < 0.03


def test_a_mesh_file_in_other_formats_size_and_axis(asset: TexturedMesh, tmp_path: Path) -> None:
    save_mesh(tmp_path / "ball.glb", replace(asset, mesh=Mesh(asset.mesh.vertices * torch.tensor([1.0, 2, 1]), asset.mesh.faces)))
    targets = [tmp_path / f"small.{name}" for name in ("obj", "gltf", "ply", "stl")]
    written = convert(tmp_path / "ball.glb", targets, faces=500, size_mm=80, up="z")
    assert set(targets) <= set(written) and all(path.is_file() for path in written)
    assert len(set(written)) == len(written)
    for target, unit in zip(targets, (1.0, 1000.0, 1.0, 1.0)):
        loaded = load_mesh(target)
        mesh = loaded.mesh if isinstance(loaded, TexturedMesh) else loaded
        assert len(mesh.faces) <= 500
        size = (mesh.vertices.amax(0) - mesh.vertices.amin(0)) * unit
        assert size[2] == pytest.approx(80, rel=1e-4), f"{target.name} is 80 mm high along z"
        assert isinstance(loaded, TexturedMesh) == (target.suffix != ".stl")


def test_nothing_is_replaced_unasked(asset: TexturedMesh, tmp_path: Path) -> None:
    save_mesh(tmp_path / "ball.glb", asset)
    (tmp_path / "x_base_color.png").write_bytes(b"somebody else's")
    with pytest.raises(OutputError, match=r"x_base_color\.png is already there"):
        convert(tmp_path / "ball.glb", [tmp_path / "x.stl", tmp_path / "x.obj"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ball.glb", "x_base_color.png"], "all formats or none"
    convert(tmp_path / "ball.glb", [tmp_path / "x.obj"], force=True)
    assert (tmp_path / "x_base_color.png").read_bytes() != b"somebody else's"


@pytest.fixture
def run(asset: TexturedMesh, tmp_path: Path) -> Path:
    """A run folder with a finished texture step, made in millimetres."""
    folder = tmp_path / "mug.run"
    (folder / "05_texture").mkdir(parents=True)
    photo = tmp_path / "mug.png"
    photo.write_bytes(b"photo")
    config = replace(Config(), export=replace(Config().export, size_mm=50.0))
    keep(Targets(folder, (tmp_path / "mug.glb",)), photo, Given(), "key", config)
    artifacts.save_textured(asset, folder / "05_texture")
    (folder / "05_texture" / "step.json").write_text("{}")
    return folder


def test_a_run_is_written_as_it_was_made(run: Path, asset: TexturedMesh, tmp_path: Path) -> None:
    convert(run, [tmp_path / "again.obj"])
    loaded = load_mesh(tmp_path / "again.obj")
    assert isinstance(loaded, TexturedMesh) and len(loaded.mesh.faces) == len(asset.mesh.faces)
    assert float((loaded.mesh.vertices.amax(0) - loaded.mesh.vertices.amin(0)).max()) == pytest.approx(50, rel=1e-4)


def test_unfinished_and_foreign_folders_say_so(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not finished: it has no estimate step"):
        convert(run, [tmp_path / "x.obj"], faces=200)
    (run / "05_texture" / "step.json").unlink()
    with pytest.raises(InputError, match="it has no texture step"):
        step_folder(run, "texture")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is not a run folder"):
        convert(tmp_path / "folder", [tmp_path / "x.obj"])


def test_a_mesh_of_one_colour_gets_room_for_its_new_charts(asset: TexturedMesh) -> None:
    plain = replace(asset, base_color=torch.full((2, 2, 3), 0.4), normal_map=None)
    made = fewer_faces(plain, 200, None)
    assert isinstance(made, TexturedMesh) and made.base_color.shape[0] == 64
    assert float((made.base_color - 0.4).abs().max()) < 0.01


def test_a_normal_map_that_is_left_out_is_told(asset: TexturedMesh, tmp_path: Path) -> None:
    mapped = replace(asset, normal_map=torch.tensor([0.5, 0.5, 1.0]).expand(SIZE, SIZE, 3).contiguous())
    path, warnings = tmp_path / "a.glb", []
    save_mesh(path, mapped)
    convert(path, [tmp_path / "same.glb"], warnings=warnings)
    assert not warnings
    convert(path, [tmp_path / "small.glb"], texture_size=128, warnings=warnings)
    assert len(warnings) == 1 and "normal map" in warnings[0]


@pytest.fixture
def quick_splats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splats of few steps and small pictures."""
    monkeypatch.setattr("img23d.convert.Splatting", partial(Splatting, steps=3, views=2, size=48, window=32))


def test_splats_of_a_mesh_stand_where_its_glb_stands(asset: TexturedMesh, tmp_path: Path, quick_splats: None) -> None:
    source = save_mesh(tmp_path / "ball.glb", asset.moved(1.0, (0, 3, 1)))[0]
    targets = [tmp_path / "out.splat.ply", tmp_path / "out.splat", tmp_path / "out.glb"]
    stages: list[str] = []
    report = lambda stage, part, text: stages.append(stage)  # noqa: E731
    written = convert(source, targets, size_mm=500, up="z", splats=150, report=report)
    assert set(written) == set(targets) and "splats" in stages
    glb = load_mesh(tmp_path / "out.glb")
    assert isinstance(glb, TexturedMesh)
    low, high = glb.mesh.vertices.amin(0), glb.mesh.vertices.amax(0)
    assert float((high - low).amax()) == pytest.approx(0.5, abs=1e-3), "metres, as in glTF"
    for path in targets[:2]:
        cloud = load_splats(path)
        assert len(cloud) == 150
        assert torch.allclose(cloud.points.amin(0), low, atol=0.05) and torch.allclose(cloud.points.amax(0), high, atol=0.05)
        # The texture is the position before it was turned: (x, y, z) has become (x, -z, y), half a metre instead of two wide.
        place = (cloud.points - (low + high) / 2) / 0.25
        said = (cloud.rgb * 2 - 1)[:, [0, 2, 1]] * torch.tensor([1.0, -1, 1])
        assert float((place - said).abs().mean()) < 0.12


def test_splats_of_a_finished_run(run: Path, tmp_path: Path, quick_splats: None) -> None:
    assert convert(run, [tmp_path / "a.splat"], splats=100) == [tmp_path / "a.splat"]
    assert (tmp_path / "a.splat").stat().st_size == 3200


def test_a_mesh_without_colours_has_no_splats(asset: TexturedMesh, tmp_path: Path, quick_splats: None) -> None:
    source = save_mesh(tmp_path / "ball.stl", asset.mesh)[0]
    with pytest.raises(InputError, match="has no colours"):
        convert(source, [tmp_path / "a.splat", tmp_path / "a.glb"])
    assert not (tmp_path / "a.glb").exists()


def test_splats_are_not_replaced_unasked(asset: TexturedMesh, tmp_path: Path, quick_splats: None) -> None:
    source = save_mesh(tmp_path / "ball.glb", asset)[0]
    (tmp_path / "a.splat").write_bytes(b"old")
    with pytest.raises(OutputError, match="already there"):
        convert(source, [tmp_path / "a.splat", tmp_path / "a.obj"], splats=100)
    assert (tmp_path / "a.splat").read_bytes() == b"old" and not (tmp_path / "a.obj").exists()
