"""glTF's less common ways to say the same thing are read as the common one; what is not understood is told or refused."""

from __future__ import annotations

import base64
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from img23d.errors import InputError
from img23d.io.reading import load_mesh
from img23d.io.textures import sample
from img23d.scene import Mesh, TexturedMesh

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
UV = np.array([[0.0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
FACES = np.array([0, 1, 2, 0, 2, 3], np.uint16)
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
TEXTURED = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
NUMBERS = {"|i1": 5120, "|u1": 5121, "<i2": 5122, "<u2": 5123, "<u4": 5125, "<f4": 5126}


def picture(colors: tuple[tuple[int, int, int], ...] = (RED, GREEN, BLUE, YELLOW)) -> bytes:
    """Four squares of 16 px: top left, top right, bottom left, bottom right."""
    pixels = np.kron(np.array(colors, np.uint8).reshape(2, 2, 3), np.ones((16, 16, 1), np.uint8))
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


class Document:
    """A glTF document of one square, to be changed before it is written."""

    def __init__(self, positions: NDArray[Any] = SQUARE, uv: NDArray[Any] | None = UV, material: dict[str, Any] | None = None) -> None:
        self.binary = bytearray()
        self.tree: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]}
        self.tree.update(accessors=[], bufferViews=[])
        self.tree.update(images=[{"bufferView": self.view(picture()), "mimeType": "image/png"}])
        self.tree.update(textures=[{"source": 0}], materials=[TEXTURED if material is None else material])
        self.attributes = {"POSITION": self.add(positions)}
        if uv is not None:
            self.attributes["TEXCOORD_0"] = self.add(uv)
        self.primitive: dict[str, Any] = {"attributes": self.attributes, "indices": self.add(FACES), "material": 0}
        self.tree["meshes"] = [{"primitives": [self.primitive]}]

    def view(self, data: bytes) -> int:
        self.tree["bufferViews"].append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)})
        self.binary += data + b"\0" * (-len(data) % 4)
        return len(self.tree["bufferViews"]) - 1

    def add(self, values: NDArray[Any], **more: Any) -> int:
        rows = np.ascontiguousarray(values).reshape(len(values), -1)
        kind = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[rows.shape[1]]
        accessor = {"bufferView": self.view(rows.tobytes()), "componentType": NUMBERS[rows.dtype.str], "count": len(rows), "type": kind}
        self.tree["accessors"].append({**accessor, **more})
        return len(self.tree["accessors"]) - 1

    def save(self, path: Path, uri: str | None = None) -> Path:
        buffer = {"byteLength": len(self.binary), **({} if uri is None else {"uri": uri})}
        text = json.dumps({**self.tree, "buffers": [buffer]}).encode()
        if path.suffix == ".gltf":
            path.write_bytes(text)
            return path
        text += b" " * (-len(text) % 4)
        head = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + len(self.binary), len(text), 0x4E4F534A)
        path.write_bytes(head + text + struct.pack("<II", len(self.binary), 0x004E4942) + bytes(self.binary))
        return path


def shape_of(loaded: TexturedMesh | Mesh) -> Mesh:
    return loaded.mesh if isinstance(loaded, TexturedMesh) else loaded


def color_at(loaded: TexturedMesh | Mesh, x: float, y: float) -> tuple[int, ...]:
    """The colour of the square at a place."""
    assert isinstance(loaded, TexturedMesh)
    corners = loaded.mesh.vertices[loaded.mesh.faces][..., :2].double()
    for corner, uv in zip(corners, loaded.uv[loaded.uv_faces]):
        weights = torch.linalg.solve(torch.cat([corner.T, torch.ones(1, 3, dtype=torch.float64)]), torch.tensor([x, y, 1.0]).double())
        if bool((weights > -1e-6).all()):
            return tuple((sample(loaded.base_color, weights.float()[None] @ uv)[0] * 255).round().int().tolist())
    raise AssertionError("beside the square")


def test_the_square_that_all_others_are_compared_with(tmp_path: Path) -> None:
    warnings: list[str] = []
    loaded = load_mesh(Document().save(tmp_path / "a.glb"), warnings)
    seen = [color_at(loaded, x, y) for x, y in ((0.2, 0.8), (0.8, 0.7), (0.2, 0.3), (0.8, 0.2))]
    assert seen == [RED, GREEN, BLUE, YELLOW] and not warnings


@pytest.mark.parametrize("suffix", ["glb", "gltf", "base64"])
def test_whole_numbers_stand_for_fractions(tmp_path: Path, suffix: str) -> None:
    document = Document((np.pad(SQUARE, ((0, 0), (0, 1))) * 32767).astype(np.int16)[:, :3], (UV * 65535).astype(np.uint16))
    for name in document.attributes.values():
        document.tree["accessors"][name]["normalized"] = True
    document.tree["extensionsRequired"] = ["KHR_mesh_quantization"]
    inside = f"data:application/octet-stream;base64,{base64.b64encode(document.binary).decode()}"
    (tmp_path / "a b.bin").write_bytes(document.binary)
    path = document.save(tmp_path / ("a.glb" if suffix == "glb" else "a.gltf"), {"glb": None, "gltf": "a%20b.bin"}.get(suffix, inside))
    loaded = load_mesh(path)
    assert torch.allclose(shape_of(loaded).vertices.amax(0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-4)
    assert color_at(loaded, 0.2, 0.8) == RED and color_at(loaded, 0.8, 0.7) == GREEN
    assert isinstance(loaded, TexturedMesh) and loaded.base_color.shape[0] == 32, "the picture is not repeated 65535 times"


def test_plain_whole_numbers_are_scaled_by_the_texture_transform(tmp_path: Path) -> None:
    moved = {"index": 0, "extensions": {"KHR_texture_transform": {"scale": [1 / 1000, 1 / 1000]}}}
    loaded = load_mesh(
        Document(uv=(UV * 1000).astype(np.uint16), material={"pbrMetallicRoughness": {"baseColorTexture": moved}}).save(tmp_path / "a.glb")
    )
    assert color_at(loaded, 0.2, 0.8) == RED and color_at(loaded, 0.8, 0.2) == YELLOW


def test_numbers_replaced_by_sparse_ones(tmp_path: Path) -> None:
    document = Document()
    rows, values = document.view(np.array([2], np.uint16).tobytes()), document.view(np.array([[3, 3, 0]], np.float32).tobytes())
    sparse = {"count": 1, "indices": {"bufferView": rows, "componentType": 5123}, "values": {"bufferView": values}}
    document.tree["accessors"][document.attributes["POSITION"]]["sparse"] = sparse
    assert shape_of(load_mesh(document.save(tmp_path / "a.glb"))).vertices.amax(0).tolist() == [3.0, 3.0, 0.0]
    del document.tree["accessors"][document.attributes["TEXCOORD_0"]]["bufferView"]  # then all others are zeros
    document.tree["accessors"][document.attributes["TEXCOORD_0"]]["sparse"] = {
        **sparse,
        "values": {"bufferView": document.view(np.array([[0.9, 0.9]], np.float32).tobytes())},
    }
    loaded = load_mesh(document.save(tmp_path / "b.glb"))
    assert isinstance(loaded, TexturedMesh) and torch.allclose(loaded.uv[loaded.uv_faces[0]], torch.tensor([[0, 0], [0, 0], [0.9, 0.9]]))


def test_interleaved_numbers(tmp_path: Path) -> None:
    document = Document()
    mixed = np.zeros(4, [("place", "<f4", 3), ("uv", "<u2", 2)])
    mixed["place"], mixed["uv"] = SQUARE, (UV * 65535).astype(np.uint16)
    view = document.view(mixed.tobytes())
    document.tree["bufferViews"][view]["byteStride"] = 16
    document.tree["accessors"][document.attributes["POSITION"]].update(bufferView=view)
    document.tree["accessors"][document.attributes["TEXCOORD_0"]].update(
        bufferView=view, byteOffset=12, componentType=5123, normalized=True
    )
    loaded = load_mesh(document.save(tmp_path / "a.glb"))
    assert color_at(loaded, 0.2, 0.8) == RED and color_at(loaded, 0.8, 0.2) == YELLOW


def test_the_second_set_of_texture_coordinates(tmp_path: Path) -> None:
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "texCoord": 1}}}
    document = Document(uv=UV * 0.1, material=material)
    document.attributes["TEXCOORD_1"] = document.add(UV)
    assert color_at(load_mesh(document.save(tmp_path / "a.glb")), 0.8, 0.2) == YELLOW
    del document.attributes["TEXCOORD_1"]
    warnings: list[str] = []
    assert isinstance(load_mesh(document.save(tmp_path / "b.glb"), warnings), Mesh)
    assert warnings == ["b.glb has a texture, but a part of it lacks the texture coordinates (set 1): that part is read without it"]


def test_a_texture_transform_scales_then_turns_then_moves(tmp_path: Path) -> None:
    """Turned by a quarter counter-clockwise in the picture, whose v points down, (u, v) becomes (v, -u)."""
    moved = {"offset": [0.25, 1.0], "rotation": np.pi / 2, "scale": [0.5, 1.0], "texCoord": 0}
    info = {"index": 0, "texCoord": 1, "extensions": {"KHR_texture_transform": moved}}
    loaded = load_mesh(Document(material={"pbrMetallicRoughness": {"baseColorTexture": info}}).save(tmp_path / "a.glb"))
    wide = load_mesh(Document(uv=np.stack([0.25 + UV[:, 1], 1 - 0.5 * UV[:, 0]], 1)).save(tmp_path / "b.glb"))
    assert isinstance(loaded, TexturedMesh) and isinstance(wide, TexturedMesh)
    for x, y in ((0.1, 0.9), (0.9, 0.95), (0.1, 0.1), (0.7, 0.6)):
        assert color_at(loaded, x, y) == color_at(wide, x, y)
    assert color_at(loaded, 0.1, 0.9) == BLUE  # v = 0.1 and u = 0.1 are looked up at (0.35, 0.95)


def test_a_normal_map_in_another_place_is_left_out_and_told(tmp_path: Path) -> None:
    warnings: list[str] = []
    load = load_mesh(Document(material={**TEXTURED, "normalTexture": {"index": 0}}).save(tmp_path / "a.glb"), warnings)
    assert isinstance(load, TexturedMesh) and load.normal_map is not None and not warnings
    apart = {**TEXTURED, "normalTexture": {"index": 0, "extensions": {"KHR_texture_transform": {"scale": [2, 2]}}}}
    load = load_mesh(Document(material=apart).save(tmp_path / "b.glb"), warnings)
    assert isinstance(load, TexturedMesh) and load.normal_map is None and "normal map" in warnings[0] and len(warnings) == 1


@pytest.mark.parametrize("textured", [False, True])
def test_colours_of_vertices_beside_a_material(tmp_path: Path, textured: bool) -> None:
    """They multiply what the material says, in linear light."""
    material = {"pbrMetallicRoughness": {**(TEXTURED["pbrMetallicRoughness"] if textured else {}), "baseColorFactor": [1, 1, 0, 1]}}
    document = Document(material=material)
    document.attributes["COLOR_0"] = document.add(np.tile(np.array([0.5, 0, 1], np.float32), (4, 1)))
    loaded = load_mesh(document.save(tmp_path / "a.glb"))
    assert color_at(loaded, 0.2, 0.8) == (188, 0, 0) and color_at(loaded, 0.2, 0.3) == ((0, 0, 0) if textured else (188, 0, 0))
    document.attributes["COLOR_0"] = document.add(np.tile(np.array([128, 0, 255, 255], np.uint8), (4, 1)))  # not said to be normalized
    assert color_at(load_mesh(document.save(tmp_path / "b.glb")), 0.2, 0.8) == (188, 0, 0)


def test_different_colours_of_vertices_over_a_texture_are_told(tmp_path: Path) -> None:
    document, warnings = Document(), []
    document.attributes["COLOR_0"] = document.add(np.eye(4, 3, dtype=np.float32))
    assert color_at(load_mesh(document.save(tmp_path / "a.glb"), warnings), 0.2, 0.8) == RED
    assert warnings == ["a.glb tints its texture with colours per vertex, which is not honoured: the texture is used as it is"]


@pytest.mark.parametrize(("wrap", "uv", "wanted"), [
    (33071, UV * [0.4, 0] - [2.45, 1], RED),  # beyond the left border and the upper one
    (33071, UV * 1.0 - [-3.0, -3], YELLOW),
    (33648, UV * 0.4 + [1.05, 0], GREEN),  # the mirrored picture starts with its right side
    (33648, UV * 0.4 + [0, -0.45], RED),
    (10497, UV * 0.4 + [1.05, 0], RED),
])  # fmt: skip
def test_pictures_that_do_not_repeat(tmp_path: Path, wrap: int, uv: NDArray[Any], wanted: tuple[int, int, int]) -> None:
    document, warnings = Document(uv=uv.astype(np.float32)), []
    document.tree.update(samplers=[{"wrapS": wrap, "wrapT": wrap}], textures=[{"source": 0, "sampler": 0}])
    assert color_at(load_mesh(document.save(tmp_path / "a.glb"), warnings), 0.5, 0.6) == wanted and not warnings


@pytest.mark.parametrize(("wrap", "word"), [(33071, "clamped"), (33648, "mirrored")])
def test_faces_that_reach_across_the_border_of_a_picture_are_told(tmp_path: Path, wrap: int, word: str) -> None:
    for largest, lines in ((1.0005, 0), (2.0, 1)):
        document, warnings = Document(uv=UV * np.float32(largest)), []
        document.tree.update(samplers=[{"wrapS": wrap, "wrapT": wrap}], textures=[{"source": 0, "sampler": 0}])
        load_mesh(document.save(tmp_path / "a.glb"), warnings)
        assert len(warnings) == lines and all(word in line for line in warnings)


@pytest.mark.parametrize("indexed", [True, False])
def test_fans(tmp_path: Path, indexed: bool) -> None:
    document = Document()
    document.primitive.update(indices=document.add(np.arange(4, dtype=np.uint8)), mode=6)
    if not indexed:
        del document.primitive["indices"]
    loaded = load_mesh(document.save(tmp_path / "a.glb"))
    plain = load_mesh(Document().save(tmp_path / "b.glb"))
    assert torch.equal(shape_of(loaded).vertices[shape_of(loaded).faces], shape_of(plain).vertices[shape_of(plain).faces])
    assert color_at(loaded, 0.2, 0.8) == RED


def test_what_needs_an_unknown_extension_is_refused(tmp_path: Path) -> None:
    document = Document()
    for name in ("KHR_texture_basisu", "EXT_mesh_gpu_instancing"):
        document.tree["extensionsRequired"] = ["KHR_materials_unlit", name]
        with pytest.raises(InputError, match=f"a.glb needs the glTF extension {name}, which cannot be read") as caught:
            load_mesh(document.save(tmp_path / "a.glb"))
        assert caught.value.hint == "export it without this extension"
    document.tree["extensionsRequired"] = ["KHR_materials_unlit", "KHR_texture_transform", "EXT_texture_webp"]
    assert color_at(load_mesh(document.save(tmp_path / "a.glb")), 0.2, 0.8) == RED


def test_a_texture_without_a_readable_picture_is_told(tmp_path: Path) -> None:
    document, warnings = Document(), []
    document.tree["textures"] = [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]
    assert isinstance(load_mesh(document.save(tmp_path / "a.glb"), warnings), Mesh)
    assert warnings == ["a.glb has a texture of a kind that cannot be read: it is read without it"]


def test_a_buffer_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    document = Document(uv=(UV * 65535).astype(np.uint16))
    document.tree["accessors"][document.attributes["TEXCOORD_0"]]["normalized"] = True
    path = document.save(tmp_path / "a.glb")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="damaged or cut short"):
        load_mesh(path)


def test_one_picture_on_several_pieces_stays_as_it_is(tmp_path: Path) -> None:
    """With its normal map, and at its own size."""
    document, warnings = Document(material={**TEXTURED, "normalTexture": {"index": 0}}), []
    document.tree.update(nodes=[{"mesh": 0}, {"mesh": 0, "translation": [2, 0, 0]}, {"mesh": 1, "translation": [4, 0, 0]}])
    document.tree.update(scenes=[{"nodes": [0, 1, 2]}], meshes=[*document.tree["meshes"], *document.tree["meshes"]])
    loaded = load_mesh(document.save(tmp_path / "a.glb"), warnings)
    assert isinstance(loaded, TexturedMesh) and loaded.base_color.shape == (32, 32, 3) and loaded.normal_map is not None and not warnings
    assert [color_at(loaded, x + 0.2, 0.8) for x in (0, 2, 4)] == [RED, RED, RED]
    plain = {"pbrMetallicRoughness": {"baseColorFactor": [0, 0, 1, 1]}}
    document.tree.update(materials=[*document.tree["materials"], plain])
    document.tree["meshes"][1] = {"primitives": [{**document.primitive, "material": 1}]}
    loaded = load_mesh(document.save(tmp_path / "b.glb"), warnings)
    assert [color_at(loaded, x + 0.2, 0.8) for x in (0, 2, 4)] == [RED, RED, BLUE]
    assert warnings == ["b.glb has several materials or a repeating texture: it is read without its normal maps"]
