"""Training samples of the network for fine normals: a picture, its true normals, and what the shape network says of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from img23d.backends.rasterizers import BackendRasterizer, choose_rasterizer
from img23d.errors import InputError
from img23d.priors import frame
from img23d.priors.ask import ask
from img23d.priors.network import ShapeNetwork
from img23d.training.appearance import Recolouring, texture_colour
from img23d.training.dataset import visits
from img23d.training.lighting import Lights, random_lights, visibility
from img23d.training.relief import random_relief
from img23d.training.samples import Scene, colour_picture, eye_directions, facing, finish_picture, layer, make_scene, random_pose
from img23d.training.store import ObjectStore
from img23d.training.warp import Warp, identity

SIZE = 256
SAID = frame.IMAGE_SIZE
VIEWS = 6  # of an object each time it is taken up
SHARD = 48
BUMPY = 0.0  # share of samples drawn with relief that their meshes do not have: `img23d.training.relit` gives it to them while training
PLACE = 0.75  # object units: largest coordinate of a place on an object
TOLD = 0.3  # share of samples whose field of view the shape network is told
LAYOUT = (
    ("rgb", np.uint8, (SIZE, SIZE, 3)), ("mask", np.uint8, (SIZE, SIZE)), ("hit", np.bool_, (SIZE, SIZE)),
    ("normal", np.int8, (SIZE, SIZE, 3)), ("said_normal", np.int8, (SAID, SAID, 3)), ("said_depth", np.float16, (SAID, SAID)),
    ("albedo", np.uint8, (SIZE, SIZE, 3)), ("place", np.int16, (SIZE, SIZE, 3)), ("open", np.uint8, (SIZE, SIZE)),
    ("turns", np.float32, (19,)),
)  # fmt: skip


ROW = sum(int(np.prod(shape)) * np.dtype(kind).itemsize for _, kind, shape in LAYOUT)  # bytes


class NormalSample(NamedTuple):
    """One picture of `SIZE` pixels a side; normals in the camera's frame, 127 = 1."""

    rgb: np.ndarray  # (S, S, 3) uint8, multiplied by the mask
    mask: np.ndarray  # (S, S) uint8 as cut out, with its errors
    hit: np.ndarray  # (S, S) bool: the true silhouette
    normal: np.ndarray  # (S, S, 3) int8
    said_normal: np.ndarray  # (128, 128, 3) int8 by the shape network
    said_depth: np.ndarray  # (128, 128) float16 first surface by the shape network
    # To light it anew (`img23d.training.relit`):
    albedo: np.ndarray  # (S, S, 3) uint8 sRGB
    place: np.ndarray  # (S, S, 3) int16 in the object's frame, 32767 = PLACE
    open: np.ndarray  # (S, S) uint8: how much of the sky is seen, 255 = all
    turns: np.ndarray  # (19,) float32: rotations from object to camera and from world to camera, and the camera's distance


def draw_normal_sample(
    store: ObjectStore, index: int, random: np.random.Generator, rasterizer: BackendRasterizer, network: ShapeNetwork, bumpy: float = BUMPY
) -> NormalSample:
    """One random view of an object, perhaps mirrored, with a chance of ``bumpy`` of relief."""
    warp = mirror() if random.random() < 0.5 else identity()
    fill, shift = frame.FILL * random.uniform(0.97, 1.03), tuple(random.uniform(-0.015, 0.015, 2))
    crease = float(random.choice([0.3, 0.6, 0.8]))  # radians: sharper corners than a box's are never rounded
    scene = make_scene(store.item(index), store.solid(index), warp, random_pose(random), crease, fill, shift)
    relief = random_relief(random) if random.random() < bumpy else None
    recolour, lights = Recolouring(random, scene.item.nearest, "cpu"), random_lights(random, scene.pose.rotation[2])
    picture, alpha, _ = colour_picture(scene, recolour, lights, rasterizer, SIZE, relief)
    rgb, mask = finish_picture(random, picture.numpy(), alpha.numpy())
    hits, points, values = layer(scene, rasterizer, SIZE, last=False)
    views = eye_directions(points, scene.framed.distance)
    seen = facing(values[:, 3:6], views)
    if relief is not None:
        seen = relief.bend(values[:, :3], seen, views, turn_of(scene))[0]
    normal, hit = torch.zeros(SIZE * SIZE, 3), torch.zeros(SIZE * SIZE, dtype=torch.bool)
    normal[hits.pixel], hit[hits.pixel] = seen, True
    unlit = unlit_maps(scene, hits.pixel, values, seen, recolour, lights)
    told = torch.tensor([scene.pose.fov if random.random() < TOLD else float("nan")])
    said_normal, said_depth = first_look(network, rgb, mask, told)
    return NormalSample(
        rgb, mask, hit.reshape(SIZE, SIZE).numpy(), (normal * 127).round().to(torch.int8).reshape(SIZE, SIZE, 3).numpy(),
        (said_normal * 127).round().to(torch.int8).numpy(), said_depth.half().numpy(), *unlit,
    )  # fmt: skip


def unlit_maps(
    scene: Scene, pixel: Tensor, values: Tensor, normals: Tensor, recolour: Recolouring, lights: Lights
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The last four maps of a `NormalSample`, for P seen pixels with corner values (P, 8) and camera-frame normals (P, 3)."""
    albedo, place = torch.zeros(SIZE * SIZE, 3, dtype=torch.uint8), torch.zeros(SIZE * SIZE, 3, dtype=torch.int16)
    sky = torch.zeros(SIZE * SIZE, dtype=torch.uint8)
    albedo[pixel] = (recolour(texture_colour(scene.item, values[:, 6:8]), values[:, :3]) * 255).round().byte()
    place[pixel] = (values[:, :3] * (32767 / PLACE)).round().clamp(-32767, 32767).to(torch.int16)
    occlusion, _ = visibility(scene.solid, values[:, :3], normals @ scene.pose.rotation, lights)
    sky[pixel] = (occlusion * 255).round().byte()
    turns = torch.cat([turn_of(scene).flatten(), scene.pose.rotation.flatten(), torch.tensor([float(scene.framed.distance)])])
    return albedo.reshape(SIZE, SIZE, 3).numpy(), place.reshape(SIZE, SIZE, 3).numpy(), sky.reshape(SIZE, SIZE).numpy(), turns.numpy()


def mirror() -> Warp:
    """Left and right swapped."""
    linear = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    return Warp(linear, linear, 0.0)


def turn_of(scene: Scene) -> Tensor:
    """(3, 3) from the undeformed object's directions to the camera's, of a scene that is at most mirrored."""
    return scene.pose.rotation @ scene.warp.linear


@torch.no_grad()
def first_look(network: ShapeNetwork, rgb: np.ndarray, mask: np.ndarray, fov: Tensor) -> tuple[Tensor, Tensor]:
    """(128, 128, 3) normals and (128, 128) first depths as the shape network tells them of a picture of 256 pixels a side."""
    cut = torch.from_numpy(np.concatenate([rgb, mask[..., None]], -1)).permute(2, 0, 1)[None].float() / 255
    answer = ask(network, avg_pool2d(cut, SIZE // SAID), fov)
    return answer.normal[0].permute(1, 2, 0), answer.depth[0].amin(0)


def write_normal_shards(
    store: ObjectStore, indices: Sequence[int], folder: Path, count: int, seed: int, network: ShapeNetwork,
    told: Callable[[int], None] | None = None, share: tuple[int, int] = (0, 1), bumpy: float = BUMPY,
) -> None:  # fmt: skip
    """Write ``count`` samples, some views each of the objects in a random order, in files of `SHARD`; files that are there are kept.

    Args:
        store: the objects.
        indices: which of them.
        folder: where to write.
        count: samples in all.
        seed: every file depends on it and on its own number alone.
        network: the shape network.
        told: called with the number of samples so far.
        share: write only the files of this worker, of so many.
        bumpy: see `draw_normal_sample`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rasterizer, order = choose_rasterizer("auto"), visits(indices, seed)
    for number in range(-(-count // SHARD)):
        path, chosen = folder / f"{seed:04d}-{number:05d}.npy", [next(order) for _ in range(SHARD // VIEWS)]
        if not path.is_file() and number % share[1] == share[0]:
            random = np.random.default_rng([seed, number, 41])
            drawn = [draw_normal_sample(store, index, random, rasterizer, network, bumpy) for index in chosen for _ in range(VIEWS)]
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.save(file, np.stack([pack(sample) for sample in drawn]))
            partial.replace(path)
        if told:
            told(SHARD * (number + 1))


def pack(sample: NormalSample) -> np.ndarray:
    """(B,) uint8, the maps of `LAYOUT` one after the other."""
    parts = []
    for name, kind, shape in LAYOUT:
        array = getattr(sample, name)
        if array.shape != shape or array.dtype != kind:
            raise ValueError(f"{name} must be {np.dtype(kind)} {shape}, got {array.dtype} {array.shape}")
        parts.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return np.concatenate(parts)


def unpack(data: np.ndarray) -> NormalSample:
    """The sample that `pack` packed."""
    parts, start = [], 0
    for _, kind, shape in LAYOUT:
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        parts.append(data[start : start + size].view(kind).reshape(shape))
        start += size
    return NormalSample(*parts)


class NormalShards:
    """All samples of a folder; `refresh` finds those written meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, {}
        self.refresh()

    files: dict[Path, np.ndarray]

    def refresh(self) -> None:
        """Look for new files."""
        for path in sorted(self.folder.glob("*.npy")):
            if path not in self.files:
                rows = np.load(path, mmap_mode="r")
                if rows.shape[1] != ROW:
                    raise InputError(f"{path} holds samples of another version of img23d", "train into another folder, or remove this one")
                self.files[path] = rows
        self.order = [(path, row) for path, rows in self.files.items() for row in range(len(rows))]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> NormalSample:
        path, row = self.order[index]
        return unpack(np.array(self.files[path][row]))
