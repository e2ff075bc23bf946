"""Meshes survive every format, read by an independent reader; bad ones are refused in one clear line."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from img23d.errors import InputError, OutputError
from img23d.io.corners import split
from img23d.io.meshes import FORMATS, load_mesh, save_mesh
from img23d.io.packing import Part, pack, painted_corners
from img23d.io.textures import sample
from img23d.scene import Mesh, TexturedMesh

VALIDATOR = """
const validator = require(process.argv[1]), fs = require("fs"), path = require("path"), file = process.argv[2];
const external = uri => fs.promises.readFile(path.resolve(path.dirname(file), uri));
validator.validateBytes(new Uint8Array(fs.readFileSync(file)), { uri: file, externalResourceFunction: external })
  .then(report => console.log(JSON.stringify(report.issues)));
"""


def box(size: int = 24, normal_map: bool = False) -> TexturedMesh:
    """A closed box with shared vertices, six squares in the atlas and a texture without any symmetry."""
    shape = trimesh.creation.box(extents=(1.0, 0.6, 1.6))
    vertices, faces = torch.from_numpy(np.array(shape.vertices)).float(), torch.from_numpy(np.array(shape.faces))
    points = vertices[faces]
    axis = torch.linalg.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]).abs().argmax(1)
    side = torch.linalg.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]).sum(1).sign()
    cell = axis * 2 + (side > 0)
    flat = torch.stack([points[torch.arange(12), :, (axis + 1) % 3], points[torch.arange(12), :, (axis + 2) % 3]], -1)
    corner_uv = (flat + 0.8) / 1.6 * 0.28 + 0.02 + torch.stack([cell % 3, cell // 3], -1)[:, None] / 3
    uv, uv_faces = torch.unique(corner_uv.reshape(-1, 2), dim=0, return_inverse=True)
    texture = torch.rand(size, size, 3, generator=torch.Generator().manual_seed(0))
    normals = torch.nn.functional.normalize(torch.rand(size, size, 3) * 0.4 + torch.tensor([-0.2, -0.2, 1.0]), dim=-1) * 0.5 + 0.5
    return TexturedMesh(Mesh(vertices, faces), uv, uv_faces.reshape(-1, 3), texture, normals if normal_map else None, (0.25, 0.5))


def corner_colors(asset: TexturedMesh) -> torch.Tensor:
    """(F, 3) colour at the middle of each face: position, coordinates and texture together."""
    return sample(asset.base_color, asset.uv[asset.uv_faces].mean(1))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("normal_map", [False, True])
def test_saving_and_loading_gives_the_same_mesh(tmp_path: Path, format: str, normal_map: bool) -> None:
    asset = box(normal_map=normal_map)
    paths = save_mesh(tmp_path / f"a.{format}", asset, size_mm=1600 if format != "gltf" else 1.6e6 / 1000)
    loaded = load_mesh(paths[-1])
    mesh = loaded.mesh if isinstance(loaded, TexturedMesh) else loaded
    scale = 1.0 if format in ("glb", "gltf") else 1000.0
    assert len(mesh.vertices) == 8 and torch.allclose(
        mesh.vertices[mesh.faces], asset.mesh.vertices[asset.mesh.faces] * scale, atol=1e-6 * scale
    )
    if format == "stl":
        assert isinstance(loaded, Mesh)
        return
    assert isinstance(loaded, TexturedMesh)
    assert torch.allclose(loaded.uv[loaded.uv_faces], asset.uv[asset.uv_faces], atol=1e-6)
    assert torch.allclose(corner_colors(loaded), corner_colors(asset), atol=1 / 255)
    if format in ("glb", "gltf"):
        assert loaded.metallic_roughness == (0.25, 0.5) and (loaded.normal_map is not None) == normal_map
    if normal_map and loaded.normal_map is not None:
        assert torch.allclose(loaded.normal_map, asset.normal_map, atol=1 / 255)


def independent(path: Path) -> trimesh.Trimesh:
    return trimesh.load(path, force="mesh", process=False)


@pytest.mark.parametrize("format", ["glb", "gltf", "obj"])
def test_an_independent_reader_sees_the_colours_in_their_places(tmp_path: Path, format: str) -> None:
    """A forgotten v flip, a wrong order of channels or of faces shows here."""
    asset = box()
    save_mesh(tmp_path / f"a.{format}", asset)
    read = independent(tmp_path / f"a.{format}")
    material = read.visual.material
    picture = np.asarray((material.baseColorTexture if format != "obj" else material.image).convert("RGB"))
    assert np.array_equal(picture, (asset.base_color * 255 + 0.5).to(torch.uint8).numpy())
    # That reader counts v from the bottom; pick texels by hand.
    middle = read.visual.uv[read.faces].mean(1)
    column = np.floor(middle[:, 0] * picture.shape[1]).astype(int)
    row = picture.shape[0] - 1 - np.floor(middle[:, 1] * picture.shape[0]).astype(int)
    ours = asset.uv[asset.uv_faces].mean(1).numpy()
    nearest = picture[(ours[:, 1] * picture.shape[0]).astype(int), (ours[:, 0] * picture.shape[1]).astype(int)]
    by_place = {tuple(np.round(p, 5)): color for p, color in zip(asset.mesh.vertices[asset.mesh.faces].mean(1).numpy().tolist(), nearest)}
    for place, color in zip(read.triangles.mean(1).tolist(), picture[row, column]):
        assert np.array_equal(by_place[tuple(np.round(place, 5))], color)


def test_glb_splits_on_seams_but_shares_their_normals(tmp_path: Path) -> None:
    asset = box(normal_map=True)
    save_mesh(tmp_path / "a.glb", asset)
    (read,) = trimesh.load_scene(tmp_path / "a.glb", process=False).geometry.values()
    assert len(read.vertices) == 24 and trimesh.Trimesh(read.vertices, read.faces, process=True).is_watertight
    _, place = np.unique(np.round(read.vertices, 5), axis=0, return_inverse=True)
    for corner in range(8):
        copies = read.vertex_normals[place.reshape(-1) == corner]
        assert np.abs(copies - copies[0]).max() < 1e-6 and np.abs(np.linalg.norm(copies[0]) - 1) < 1e-6
        assert (copies[0] * read.vertices[place.reshape(-1) == corner][0] > 0).all()


def test_tangents_follow_the_picture_of_an_upright_square() -> None:
    mesh = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), torch.tensor([[0, 1, 2], [0, 2, 3]]))
    uv = torch.tensor([[0.0, 1], [1, 1], [1, 0], [0, 0]])
    asset = TexturedMesh(mesh, uv, mesh.faces, torch.zeros(4, 4, 3), torch.zeros(4, 4, 3))
    for flipped, sign in ((False, 1.0), (True, -1.0)):
        mirrored = replace(asset, uv=torch.stack([1 - uv[:, 0], uv[:, 1]], 1)) if flipped else asset
        tangents = split(mirrored).tangents
        assert tangents is not None
        assert np.allclose(tangents, [sign, 0, 0, sign], atol=1e-6)  # with glTF's bitangent, green is always up in the picture
        assert np.allclose(np.cross([0, 0, 1], tangents[:, :3]) * tangents[:, 3:], [0, 1, 0], atol=1e-6)


def find_validator() -> str | None:
    """Where node finds the Khronos validator, if both are there."""
    if shutil.which("node") is None:
        return None
    roots = [Path.cwd(), *Path.cwd().parents, Path.home()]
    found = [root / "node_modules" / "gltf-validator" for root in roots if (root / "node_modules" / "gltf-validator").is_dir()]
    if found:
        return str(found[0])
    looked = subprocess.run(["node", "-p", "require.resolve('gltf-validator')"], capture_output=True, text=True, check=False)
    return looked.stdout.strip() or None


@pytest.mark.parametrize("format", ["glb", "gltf"])
@pytest.mark.parametrize("kind", ["textured", "normal map", "bare", "many vertices", "open"])
def test_gltf_is_valid_under_the_khronos_validator(tmp_path: Path, format: str, kind: str) -> None:
    validator = find_validator()
    if validator is None:
        pytest.skip("needs node and the npm package gltf-validator (set NODE_PATH to where it is)")
    asset: TexturedMesh | Mesh = box(normal_map=kind == "normal map")
    if kind == "bare":
        asset = box().mesh
    if kind == "open":
        whole = box()
        asset = replace(whole, mesh=Mesh(whole.mesh.vertices, whole.mesh.faces[:10]), uv_faces=whole.uv_faces[:10])
    if kind == "many vertices":
        fine = trimesh.creation.icosphere(6)
        asset = Mesh(torch.from_numpy(np.array(fine.vertices)).float().repeat(2, 1), torch.from_numpy(np.array(fine.faces)) + 40962)
    path = save_mesh(tmp_path / f"a b.{format}", asset, extras={"photo": "mug ü.jpg", "seed": 3})[-1]
    report = subprocess.run(["node", "-e", VALIDATOR, validator, str(path)], capture_output=True, text=True, check=True, timeout=60)
    issues = json.loads(report.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def glb_tree(path: Path) -> dict:
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])


def test_glb_says_where_it_comes_from_and_which_sides_are_seen(tmp_path: Path) -> None:
    asset = box()
    save_mesh(tmp_path / "a.glb", asset, extras={"photo": "mug.jpg", "seed": 3})
    tree = glb_tree(tmp_path / "a.glb")
    assert tree["asset"]["generator"].startswith("img23d ") and tree["asset"]["extras"] == {"photo": "mug.jpg", "seed": 3}
    assert "doubleSided" not in tree["materials"][0]
    save_mesh(tmp_path / "b.glb", replace(asset, mesh=Mesh(asset.mesh.vertices, asset.mesh.faces[:10]), uv_faces=asset.uv_faces[:10]))
    assert glb_tree(tmp_path / "b.glb")["materials"][0]["doubleSided"] is True


def test_large_smooth_textures_become_jpeg_and_stay_close(tmp_path: Path) -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 1024), torch.linspace(0, 1, 1024), indexing="ij")
    noise = torch.rand(1024, 1024, 3, generator=torch.Generator().manual_seed(0)) * 0.02
    asset = replace(box(), base_color=torch.stack([x, y, 1 - x], -1) * 0.9 + noise)
    save_mesh(tmp_path / "a.glb", asset)
    assert glb_tree(tmp_path / "a.glb")["images"][0]["mimeType"] == "image/jpeg"
    loaded = load_mesh(tmp_path / "a.glb")
    assert isinstance(loaded, TexturedMesh) and float((loaded.base_color - asset.base_color).abs().mean()) < 0.01


def test_size_unit_and_axes(tmp_path: Path) -> None:
    asset = box()  # longest along z: 1.6
    for format, longest in (("obj", 80.0), ("ply", 80.0), ("stl", 80.0), ("glb", 0.08), ("gltf", 0.08)):
        read = independent(save_mesh(tmp_path / f"a.{format}", asset, size_mm=80)[-1])
        assert np.allclose(read.extents, np.array([1.0, 0.6, 1.6]) * longest / 1.6, rtol=1e-5)
    turned = independent(save_mesh(tmp_path / "b.obj", asset, up="z")[-1])
    assert np.allclose(turned.extents, [1.0, 1.6, 0.6], rtol=1e-5) and turned.volume > 0
    marked = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]), torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    read = independent(save_mesh(tmp_path / "c.obj", marked, up="z")[-1])
    assert np.allclose(read.vertices, [[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, -1, 0]])  # up to +Z, front to -Y
    assert np.allclose(independent(save_mesh(tmp_path / "d.stl", asset)[-1]).extents.max(), 100.0)


def test_closed_meshes_stay_closed_in_formats_that_share_vertices(tmp_path: Path) -> None:
    obj = save_mesh(tmp_path / "a.obj", box())[-1].read_text().splitlines()
    assert sum(line.startswith("v ") for line in obj) == 8 and sum(line.startswith("vt ") for line in obj) == len(box().uv)
    assert b"element vertex 8\n" in save_mesh(tmp_path / "a.ply", box())[-1].read_bytes()


def test_saving_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_mesh(tmp_path / "a.obj", box())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="already there"):
        save_mesh(tmp_path / "a.obj", box(), force=False)
    with pytest.raises(OutputError, match="cannot write a mesh as 'fbx'"):
        save_mesh(tmp_path / "a.fbx", box())
    with pytest.raises(OutputError, match=r"ends in .glb, the format asked for is obj"):
        save_mesh(tmp_path / "a.glb", box(), format="obj")
    with pytest.raises(OutputError, match="no faces"):
        save_mesh(tmp_path / "b.glb", Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_several_materials_become_one_texture(tmp_path: Path) -> None:
    picture = Image.fromarray(
        np.kron(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8), np.ones((16, 16, 1), np.uint8))
    )
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = [[0, 1, 2], [0, 2, 3]]
    uv = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])  # counted from the bottom here
    textured = trimesh.visual.TextureVisuals(uv, material=trimesh.visual.material.PBRMaterial(baseColorTexture=picture))
    flat = trimesh.visual.TextureVisuals(material=trimesh.visual.material.PBRMaterial(baseColorFactor=[55, 55, 55, 255]))
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.Trimesh(square, faces, visual=textured, process=False))
    scene.add_geometry(
        trimesh.Trimesh(square, faces, visual=flat, process=False), transform=trimesh.transformations.translation_matrix([1, 0, 0])
    )
    scene.export(tmp_path / "a.glb")
    loaded = load_mesh(tmp_path / "a.glb")
    assert isinstance(loaded, TexturedMesh)
    assert len(loaded.mesh.vertices) == 6 and len(loaded.mesh.faces) == 4  # the two squares share an edge
    places = loaded.mesh.vertices[loaded.mesh.faces].mean(1)
    colors = corner_colors(loaded)
    linear = 55 / 255
    grey = 1.055 * linear ** (1 / 2.4) - 0.055  # factors are linear, textures are sRGB
    for place, color in zip(places.tolist(), colors):
        if place[0] > 1:
            assert torch.allclose(color, torch.full((3,), grey), atol=0.01)
        else:  # below the diagonal the centre lies bottom right (yellow), above it top left (red)
            assert torch.allclose(color, torch.tensor([1.0, 1, 0] if place[0] > place[1] else [1.0, 0, 0]), atol=0.01)


def test_a_repeating_texture_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 1 1 1\nmap_Kd a.png\n")
    Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8).repeat(16, 0).repeat(8, 1)).save(tmp_path / "a.png")
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nusemtl m\nv 0 0 0\nv 3 0 0\nv 0 1 0\nvt 0 0\nvt 3 0\nvt 0 1\nf 1/1 2/2 3/3\n")
    loaded = load_mesh(tmp_path / "a.obj")
    assert isinstance(loaded, TexturedMesh)
    corner = loaded.uv[loaded.uv_faces[0]]
    for x, red in ((0.25, 1.0), (0.75, 0.0), (1.25, 1.0), (1.75, 0.0), (2.25, 1.0)):
        along = torch.tensor([[1 - x / 3 - 0.05, x / 3, 0.05]])
        assert abs(float(sample(loaded.base_color, along @ corner)[0, 0]) - red) < 0.02


def test_colours_of_vertices_are_blended_over_the_faces(tmp_path: Path) -> None:
    shape = trimesh.creation.icosphere(1)
    colors = np.random.default_rng(0).integers(100, 160, (len(shape.vertices), 4), np.uint8)
    colors[:, 3] = 255
    trimesh.Trimesh(shape.vertices, shape.faces, vertex_colors=colors, process=False).export(tmp_path / "a.ply")
    loaded = load_mesh(tmp_path / "a.ply")
    assert isinstance(loaded, TexturedMesh) and len(loaded.mesh.faces) == len(shape.faces)
    weights = torch.distributions.Dirichlet(torch.ones(3)).sample((len(shape.faces),))
    seen = sample(loaded.base_color, (weights[..., None] * loaded.uv[loaded.uv_faces]).sum(1))
    truth = (weights[..., None] * torch.from_numpy(colors[shape.faces][..., :3]).float() / 255).sum(1)
    assert float((seen - truth).abs().max()) < 1.5 / 255  # bilinear lookups are linear on every face


def test_painted_corners_do_not_touch_each_other() -> None:
    colors = np.zeros((7, 3, 3))
    colors[3] = 1
    picture, corner_uv = painted_corners(colors, 64)
    texture = torch.from_numpy(np.array(picture)).float() / 255
    looked = sample(texture, torch.from_numpy(corner_uv).float().reshape(-1, 2)).reshape(7, 3, 3)
    assert torch.allclose(looked, torch.from_numpy(colors).float(), atol=1e-6)


def test_more_painted_faces_than_corners_have_room_keep_their_own_colours() -> None:
    colors = np.repeat(np.random.default_rng(0).integers(0, 256, (60, 1, 3)) / 255, 3, 1)
    picture, corner_uv = painted_corners(colors, 16)
    assert max(picture.size) <= 16
    texture = torch.from_numpy(np.array(picture)).float() / 255
    looked = sample(texture, torch.from_numpy(corner_uv).float().reshape(-1, 2)).reshape(60, 3, 3)
    assert torch.allclose(looked, torch.from_numpy(colors).float(), atol=1e-6)


def test_quads_transforms_and_plain_meshes(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n")
    loaded = load_mesh(tmp_path / "a.obj")
    assert isinstance(loaded, Mesh) and len(loaded.faces) == 2
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box(), transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    scene.export(tmp_path / "b.glb")
    moved = load_mesh(tmp_path / "b.glb")
    vertices = (moved.mesh if isinstance(moved, TexturedMesh) else moved).vertices
    assert np.allclose(vertices.mean(0), [5, 0, 0], atol=1e-6) and len(vertices) == 8


NOT_A_NUMBER = "OFF\n3 1 0\n0 0 0\nnan 0 0\n0 1 0\n3 0 1 2\n"
POINTS = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n0 0 0\n1 1 1\n"
DRACO = json.dumps({"asset": {"version": "2.0"}, "extensionsRequired": ["KHR_draco_mesh_compression"]})
BAD = {
    "nan.off": (NOT_A_NUMBER, "1 vertices whose coordinates are not finite"),
    "points.ply": (POINTS, "no faces"),
    "empty.obj": ("", "0 bytes"),
    "nothing.obj": ("# nothing\n", "no faces|damaged"),
    "line.obj": ("v 0 0 0\nv 1 0 0\nv 1 0 0\nf 1 2 3\n", "no faces with an area"),
    "text.glb": ("this is no mesh, however long it may be", "is not a GLB"),
    "text.ply": ("this is no mesh, however long it may be", "damaged"),
    "text.stl": ("x" * 200, "damaged|no faces"),
    "a.fbx": ("Kaydara FBX", "unknown format"),
    "draco.gltf": (DRACO, "compressed with KHR_draco"),
    "range.off": ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n", "does not have|damaged"),
    "buffer.gltf": (json.dumps({"asset": {"version": "2.0"}, "buffers": [{"uri": "gone.bin", "byteLength": 4}]}), "gone.bin"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_meshes_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    content, words = BAD[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        load_mesh(tmp_path / name)
    assert "\n" not in caught.value.message and name in caught.value.message and caught.value.hint


def test_missing_meshes_and_truncated_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no mesh"):
        load_mesh(tmp_path / "none.glb")
    with pytest.raises(InputError, match="is a folder"):
        load_mesh(tmp_path)
    for format in ("glb", "ply", "stl"):
        path = save_mesh(tmp_path / f"a.{format}", box())[-1]
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(InputError, match=r"damaged|no faces"):
            load_mesh(path)


def test_a_mesh_too_far_away_for_its_size(tmp_path: Path) -> None:
    corners = "".join(f"v {4 * 10**14 + x} {4 * 10**14 + y} {z}\n" for x, y, z in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)))
    (tmp_path / "far.obj").write_text(corners + "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    with pytest.raises(InputError, match="so far from the origin"):
        load_mesh(tmp_path / "far.obj")


def test_what_is_missing_beside_a_mesh_is_named(tmp_path: Path) -> None:
    (tmp_path / "part.mtl").write_text("newmtl red\nKd 1 0 0\nmap_Kd gone.png\n")
    faces = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    (tmp_path / "part.obj").write_text("mtllib part.mtl\nusemtl red\n" + faces)
    (tmp_path / "bare.obj").write_text("mtllib lost.mtl\nusemtl red\n" + faces)
    for name, lost in (("part.obj", "gone.png"), ("bare.obj", "lost.mtl")):
        warnings: list[str] = []
        load_mesh(tmp_path / name, warnings)
        assert warnings == [f"{lost} is missing beside {name}: the mesh is read without it"]


def test_a_face_that_repeats_its_picture_without_end_leaves_the_others_alone() -> None:
    picture = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8).repeat(2048, 0).repeat(1024, 1))
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float64)
    plain, endless = [[0.6, 0.1], [0.9, 0.1], [0.6, 0.4]], [[0, 0], [50, 0], [0, 50]]
    part = Part(vertices, np.array([[0, 1, 2], [1, 3, 2]]), image=picture, corner_uv=np.array([plain, endless], np.float64))
    atlas = pack([part], 4096)
    middle = atlas.uv[atlas.uv_faces[0]].mean(0) * np.array(atlas.color.size)
    assert atlas.color.getpixel((int(middle[0]), int(middle[1]))) == (0, 0, 255), "blue, as in the right half of the picture"


@pytest.mark.parametrize("suffix", ["glb", "gltf"])
def test_gltf_without_a_scene_is_read_and_a_second_scene_is_told(tmp_path: Path, suffix: str) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box(), transform=trimesh.transformations.translation_matrix([5.0, 0.0, 0.0]))
    scene.add_geometry(trimesh.creation.icosphere(1))
    path = tmp_path / f"two.{suffix}"
    for name, content in (scene.export(file_type="gltf") if suffix == "gltf" else {path.name: scene.export(file_type="glb")}).items():
        (path if name == "model.gltf" else tmp_path / name).write_bytes(content)
    want = load_mesh(path)
    data = path.read_bytes()
    end = 20 + int.from_bytes(data[12:16], "little")
    tree, rest = (json.loads(data), b"") if suffix == "gltf" else (json.loads(data[20:end]), data[end:])

    def write(tree: dict[str, Any]) -> None:
        text = json.dumps(tree).encode()
        text += b" " * (-len(text) % 4)
        head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A)
        path.write_bytes(text if suffix == "gltf" else head + text + rest)

    write({key: value for key, value in tree.items() if key not in ("scene", "scenes")})
    found, warnings = load_mesh(path), []
    shapes = [mesh.mesh if isinstance(mesh, TexturedMesh) else mesh for mesh in (want, found)]
    assert torch.equal(shapes[0].vertices, shapes[1].vertices) and torch.equal(shapes[0].faces, shapes[1].faces)
    write({**tree, "scenes": [*tree["scenes"], {"nodes": []}]})
    load_mesh(path, warnings)
    assert warnings == [f"{path.name} has 2 scenes: only the one that is shown first is read"]
