"""One scenario, every rasteriser; how they are chosen; what is said when they are missing."""

import sys
import types

import pytest
import torch
import trimesh

from img23d.backends.rasterizers import choose_rasterizer
from img23d.errors import BackendError
from img23d.ops.raster import NEAR, face_ids
from img23d.scene.cameras import orbit_degrees


def loaded(name, device="cpu"):
    """The rasteriser, or skip where it is not installed."""
    if name == "nvdiffrast" and not torch.cuda.is_available():
        pytest.skip("nvdiffrast needs CUDA")
    try:
        return choose_rasterizer(name, device)
    except BackendError as error:
        pytest.skip(error.message)


def bumpy_sphere(subdivisions=4):
    shape = trimesh.creation.icosphere(subdivisions, radius=0.7)
    vertices = torch.tensor(shape.vertices, dtype=torch.float32)
    return vertices * (1 + 0.1 * (9 * vertices).sin().sum(1, keepdim=True)), torch.tensor(shape.faces, dtype=torch.int64)


def scenes():
    vertices, faces = bumpy_sphere()
    yield "sphere", orbit_degrees([0.0, 100.0, 220.0], 25.0, 2.5, 40.0).project(vertices), faces, 61, 83
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(2, 100, 1, 2, generator=generator) + (torch.rand(2, 100, 3, 2, generator=generator) - 0.5)
    soup = torch.cat([xy, 0.5 + 3 * torch.rand(2, 100, 3, 1, generator=generator)], -1).reshape(2, 300, 3)
    yield "soup", soup, torch.arange(300).reshape(100, 3), 96, 64
    close = soup.clone()
    close[0, ::7, 2], close[1, ::5, 2] = NEAR, -1.0
    yield "close", close, torch.arange(300).reshape(100, 3), 40, 40


@pytest.mark.parametrize("name,tolerance", [("numba", 0.0), ("open3d", 1e-3), ("nvdiffrast", 5e-3)])
@pytest.mark.parametrize("scene", scenes(), ids=lambda scene: scene[0])
def test_every_rasterizer_sees_what_the_reference_sees(name, tolerance, scene):
    device = "cuda" if name == "nvdiffrast" else "cpu"
    rasterizer = loaded(name, device)
    _, points, faces, height, width = scene
    expected = face_ids(points, faces, height, width)
    ids = rasterizer.face_ids(points.to(device), faces.to(device), height, width)
    assert rasterizer.name == name
    assert ids.dtype == torch.int64 and ids.shape == expected.shape and ids.device.type == device
    assert 0.2 < (expected >= 0).float().mean() < 1
    assert (ids.cpu() != expected).float().mean() <= tolerance


@pytest.mark.parametrize("name", ["torch", "numba", "open3d"])
def test_no_faces_and_no_hits_give_empty_pictures(name):
    rasterizer = loaded(name)
    points = torch.tensor([[[2.0, 2.0, 1.0], [3.0, 2.0, 1.0], [2.0, 3.0, 1.0]]])
    for faces in (torch.tensor([[0, 1, 2]]), torch.zeros(0, 3, dtype=torch.int64)):
        assert (rasterizer.face_ids(points, faces, 5, 4) == torch.full((1, 5, 4), -1)).all()


@pytest.mark.parametrize("views", [1, 2, 3])
def test_numba_gives_the_same_picture_with_any_number_of_threads(views):
    rasterizer = loaded("numba")
    vertices, faces = bumpy_sphere(3)
    points = orbit_degrees([0.0, 100.0, 220.0][:views], 25.0, 2.5, 40.0).project(vertices)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = rasterizer.face_ids(points, faces, 130, 70)
        torch.set_num_threads(4)
        assert torch.equal(rasterizer.face_ids(points, faces, 130, 70), one)
    finally:
        torch.set_num_threads(before)


def test_numba_works_without_a_writable_cache(monkeypatch):
    from img23d.backends import raster_numba
    from img23d.ops import compiled

    real = compiled.numba.njit

    def without_cache(*arguments, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(*arguments, **options)

    monkeypatch.setattr(compiled.numba, "njit", without_cache)
    kernel = raster_numba.kernel.__wrapped__()
    monkeypatch.setattr(raster_numba, "kernel", lambda: kernel)
    vertices, faces = bumpy_sphere(2)
    points = orbit_degrees([30.0], 0.0, 2.5, 40.0).project(vertices)
    assert torch.equal(raster_numba.face_ids(points, faces, 20, 20), face_ids(points, faces, 20, 20))


def test_auto_takes_numba_on_the_cpu_and_never_fails():
    assert choose_rasterizer("auto", "cpu").name == "numba"
    assert choose_rasterizer("auto", "cuda").name in ("torch", "nvdiffrast")
    assert choose_rasterizer("auto", "mps").name == "torch"


def test_an_unknown_rasterizer_is_a_programming_mistake():
    with pytest.raises(ValueError, match="unknown rasteriser 'embree'"):
        choose_rasterizer("embree")


def test_a_missing_open3d_is_reported_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(BackendError, match="open3d") as caught:
        choose_rasterizer("open3d")
    assert "img23d[open3d]" in caught.value.hint and "libusb-1.0-0" in caught.value.hint and "MIT" in caught.value.hint


def test_an_empty_open3d_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", types.ModuleType("open3d"))
    with pytest.raises(BackendError, match="no RaycastingScene"):
        choose_rasterizer("open3d")


def test_a_missing_nvdiffrast_is_reported_with_its_licence(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvdiffrast", None)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", None)
    with pytest.raises(BackendError, match="nvdiffrast") as caught:
        choose_rasterizer("nvdiffrast", "cuda")
    assert "research and evaluation only" in caught.value.hint and "pip install" in caught.value.hint
    with pytest.raises(BackendError, match="cuda only"):
        choose_rasterizer("nvdiffrast", "cpu")


class PretendNvdiffrast(types.ModuleType):
    """nvdiffrast's documented conventions on the CPU: clip space in, row 0 at the bottom (y = -1), face index + 1 out."""

    def __init__(self):
        super().__init__("nvdiffrast.torch")
        self.RasterizeCudaContext = lambda device: "context"

    def rasterize(self, context, pos, tri, resolution, grad_db=True):
        assert context == "context" and pos.dtype == torch.float32 and tri.dtype == torch.int32 and pos.is_contiguous()
        clip = pos[:, tri.long().reshape(-1)]
        assert (clip[..., 2].abs() <= clip[..., 3]).all(), "outside of the clip volume"
        screen = clip[..., :3] / clip[..., 3:]
        # The depth buffer holds z / w, which is linear in the picture: a depth whose inverse is 3 - z / w orders faces in the same way.
        points = torch.cat([(screen[..., :2] + 1) / 2, 1 / (3 - screen[..., 2:])], -1)
        ids = face_ids(points, torch.arange(tri.numel()).reshape(-1, 3), *resolution)
        return torch.stack([torch.zeros(ids.shape)] * 3 + [ids + 1.0], -1), None

    def antialias(self, color, rast, pos, tri):
        assert color.shape[:3] == rast.shape[:3] and rast.shape[3] == 4
        covered = rast[..., 3] > 0
        assert rast[..., 2][covered].max() < rast[..., 2][~covered].min(), "what is empty must be behind what is covered"
        return color + 1


def test_the_nvdiffrast_adapter_speaks_its_conventions(monkeypatch):
    from img23d.backends import raster_nvdiffrast

    pretend = PretendNvdiffrast()
    monkeypatch.setitem(sys.modules, "nvdiffrast", types.ModuleType("nvdiffrast"))
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", pretend)
    raster_nvdiffrast.context.cache_clear()
    try:
        for _, points, faces, height, width in scenes():
            ids = raster_nvdiffrast.face_ids(points, faces, height, width)
            assert (ids != face_ids(points, faces, height, width)).float().mean() < 2e-3
    finally:
        raster_nvdiffrast.context.cache_clear()
    assert choose_rasterizer("nvdiffrast", "cuda").smooth is not raster_nvdiffrast.antialias
    own = choose_rasterizer("nvdiffrast", "cuda", own_antialias=True)
    image = torch.zeros(*ids.shape, 2)
    vertices, faces = bumpy_sphere(2)
    points = orbit_degrees([0.0], 0.0, 2.5, 40.0).project(vertices)
    ids = face_ids(points, faces, 8, 8)
    image = torch.zeros(1, 8, 8, 2)
    assert torch.equal(own.antialias(image, ids, points, faces), image + 1)
