"""Files of splats: bytes as viewers expect them, the same cloud back, and one clear line for damaged ones."""

from pathlib import Path

import numpy as np
import pytest
import torch

from img23d.errors import InputError, OutputError
from img23d.fields.gaussians import Gaussians, to_harmonics
from img23d.io.splats import load_splats, save_splats, splat_bytes, splat_ply_bytes, splat_suffix


def cloud(count=40, seed=0):
    draw = torch.Generator().manual_seed(seed)
    points, rotations = torch.randn(count, 3, generator=draw), torch.randn(count, 4, generator=draw)
    rgb = torch.rand(count, 3, generator=draw)
    return Gaussians(points, torch.randn(count, 3, generator=draw) - 4, rotations, torch.randn(count, generator=draw), to_harmonics(rgb))


def test_a_ply_gives_the_same_numbers_back(tmp_path):
    made = cloud()
    assert save_splats([tmp_path / "a.splat.ply"], made) == [tmp_path / "a.splat.ply"]
    read = load_splats(tmp_path / "a.splat.ply")
    assert all(torch.equal(first, second) for first, second in zip(vars(made).values(), vars(read).values()))


def test_a_ply_has_the_properties_of_the_authors_in_their_order():
    header, _, body = splat_ply_bytes(cloud(3)).partition(b"end_header\n")
    lines = header.decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"] and "element vertex 3" in lines
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"]
    names += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert [line.split()[1:] for line in lines if line.startswith("property")] == [["float", name] for name in names]
    rows = np.frombuffer(body, "<f4").reshape(3, 17)
    made = cloud(3)
    assert np.array_equal(rows[:, :3], made.points.numpy()) and not rows[:, 3:6].any()
    assert np.array_equal(rows[:, 9], made.opacity_logits.numpy()) and np.array_equal(rows[:, 13:], made.rotations.numpy())


def test_records_are_32_bytes_and_hold_what_is_seen():
    """One record by hand: position and size as they are, colour and opacity in 255ths, the quaternion in 128ths from 128 on."""
    made = Gaussians(
        torch.tensor([[1.0, 2, 3]]), torch.tensor([[0.1, 0.2, 0.3]]).log(), torch.tensor([[1.0, 0, 0, -1]]),
        torch.logit(torch.tensor([0.6])), to_harmonics(torch.tensor([[1.0, 0.2, 0.0]])),
    )  # fmt: skip
    data = splat_bytes(made)
    assert len(data) == 32
    assert np.frombuffer(data[:24], "<f4").tolist() == pytest.approx([1, 2, 3, 0.1, 0.2, 0.3])
    assert list(data[24:28]) == [255, 51, 0, 153]
    assert list(data[28:]) == [128 + 91, 128, 128, 128 - 91]


def test_records_give_back_what_bytes_can_hold_the_weightiest_first(tmp_path):
    made = cloud()
    save_splats([tmp_path / "a.splat"], made)
    read = load_splats(tmp_path / "a.splat")
    weight = read.scales.prod(1) * read.opacity
    assert bool((weight[:-1] >= 0.95 * weight[1:]).all()) and float(weight[0]) > 2 * float(weight[-1])
    source = torch.cdist(read.points, made.points).argmin(1)
    assert sorted(source.tolist()) == list(range(40))
    made = made[source]
    assert torch.equal(read.points, made.points) and torch.allclose(read.log_scales, made.log_scales, atol=1e-5)
    assert torch.allclose(read.rgb, made.rgb, atol=0.51 / 255) and torch.allclose(read.opacity, made.opacity, atol=0.51 / 255)
    alike = torch.nn.functional.cosine_similarity(read.rotations, made.rotations)
    assert alike.min() > 0.9998


def test_all_files_or_none(tmp_path):
    (tmp_path / "b.splat").write_bytes(b"old")
    with pytest.raises(OutputError, match="already there"):
        save_splats([tmp_path / "a.splat.ply", tmp_path / "b.splat"], cloud(), force=False)
    assert not (tmp_path / "a.splat.ply").exists() and (tmp_path / "b.splat").read_bytes() == b"old"
    assert save_splats([tmp_path / "a.splat.ply", tmp_path / "b.splat"], cloud()) == [tmp_path / "a.splat.ply", tmp_path / "b.splat"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.splat.ply", "b.splat"]


def test_what_cannot_be_written_is_not(tmp_path):
    with pytest.raises(OutputError, match=r"\.splat or \.splat\.ply"):
        save_splats([tmp_path / "a.ply"], cloud())
    broken = cloud()
    broken.points[3, 1] = float("nan")
    for bad in (broken, cloud()[torch.zeros(0, dtype=torch.long)]):
        with pytest.raises(OutputError, match="nothing to write"):
            save_splats([tmp_path / "a.splat"], bad)
    assert not list(tmp_path.iterdir())


def test_suffixes():
    assert [splat_suffix(name) for name in ("a.splat", "b/c.d.SPLAT.PLY", "a.ply", "splat")] == [".splat", ".splat.ply", "", ""]


def test_other_writers_are_read(tmp_path):
    """Big-endian doubles in another order, with view-dependent colours, and another element after them."""
    made = cloud(5)
    names = [f"rot_{k}" for k in range(4)] + ["f_rest_0", "y", "x", "z"] + [f"f_dc_{k}" for k in range(3)]
    names += ["opacity"] + [f"scale_{k}" for k in range(3)]
    rows = torch.cat(
        [made.rotations, torch.ones(5, 1), made.points[:, [1, 0, 2]], made.harmonics, made.opacity_logits[:, None], made.log_scales], 1
    )
    header = ["ply", "format binary_big_endian 1.0", "element vertex 5", *(f"property double {name}" for name in names)]
    header += ["element extra 1", "property float x", "end_header", ""]
    path = tmp_path / "other.ply"
    path.write_bytes("\n".join(header).encode() + rows.numpy().astype(">f8").tobytes() + b"1234")
    read = load_splats(path)
    assert all(torch.equal(first, second) for first, second in zip(vars(made).values(), vars(read).values()))


GOOD = splat_ply_bytes(cloud(5))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.splat", b"", "is empty"),
        ("a.splat", splat_bytes(cloud(5))[:-3], "157 bytes are not a whole number of 32-byte splats"),
        ("a.splat", bytes(32), "have no size"),
        ("a.splat", b"\xff" * 32, "have no size"),
        ("a.splat", splat_bytes(cloud(1))[:28] + bytes([128] * 4), "rotations are zero"),
        ("a.splat", b"\x00\x00\xc0\x7f" + splat_bytes(cloud(1))[4:], "not finite"),
        ("a.ply", b"", "it is no PLY"),
        ("a.ply", b"\x89PNG" * 30, "it is no PLY"),
        ("a.ply", GOOD[:-1], "damaged or cut short"),
        ("a.ply", GOOD.replace(b"element vertex 5", b"element vertex -1"), "first element is not vertex"),
        ("a.ply", GOOD.replace(b"element vertex 5", b"element vertex 0"), "is empty"),
        ("a.ply", GOOD.replace(b"element vertex 5", b"element face 5"), "first element is not vertex"),
        ("a.ply", GOOD.replace(b"property float opacity", b"property float density"), "it has no opacity: a PLY of 3D Gaussian"),
        ("a.ply", GOOD.replace(b"binary_little_endian", b"ascii"), "only binary PLY"),
        ("a.ply", GOOD.replace(b"property float x", b"property list uchar float x"), "damaged"),
        ("a.ply", GOOD.replace(b"format binary_little_endian 1.0\n", b""), "PLY without format"),
    ],
)
def test_damaged_files_get_one_clear_line(tmp_path, name, data, said):
    path = Path(tmp_path / name)
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load_splats(path)
    assert said in caught.value.message and str(path) in caught.value.message and "\n" not in caught.value.message
    assert caught.value.hint
    with pytest.raises(InputError, match="there is no splat file"):
        load_splats(tmp_path / "missing.splat")
