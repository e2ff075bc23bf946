"""Render the example photos from objects made by code: python examples/photos/make_photos.py [NAME ...]"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from img23d.scene.cameras import orbit_degrees
from img23d.training.backgrounds import blurred, random_background
from img23d.training.photo_lights import Softbox, Studio
from img23d.training.procedural.cartons import book
from img23d.training.procedural.creatures import teddy
from img23d.training.procedural.garden import fruit, potted
from img23d.training.procedural.outlines import smooth_outline
from img23d.training.procedural.parts import assemble
from img23d.training.procedural.surfaces import tube
from img23d.training.procedural.vehicles import car
from img23d.training.procedural.vessels import bottle, can, teapot, walled
from img23d.training.render_photo import Floor, Placed, render_photo
from img23d.training.textures import plain, wood

HERE = Path(__file__).parent
WINDOW = Studio(
    (Softbox(-0.9, 0.75, 0.42, 0.5, (3.6, 3.45, 3.2)), Softbox(1.5, 0.55, 0.3, 0.45, (1.0, 1.05, 1.15))),
    (0.42, 0.45, 0.5),
    (0.42, 0.42, 0.43),
    (0.24, 0.22, 0.2),
)


def hills() -> np.ndarray:
    """The mug's print: a sun over four ranges of hills that run around it."""
    picture = Image.new("RGB", (1440, 640), (246, 240, 226))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((535, 112, 715, 332), fill=(238, 142, 76))
    x = np.arange(1441)
    for level, color in enumerate(((150, 196, 196), (92, 156, 166), (46, 106, 124), (24, 62, 84))):
        turn = 2 * np.pi * x / 1440
        crest = 300 + 75 * level + 42 * np.sin(turn * (3 + level) + level * 2.1) + 24 * np.sin(turn * (7 - level) + level)
        draw.polygon([(0, 640), *zip(x.tolist(), crest.tolist()), (1440, 640)], fill=color)
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7)))


def mug():
    """A glazed mug with a handle."""
    side = np.array([[0.5, 0.0], [0.56, 0.015], [0.585, 0.05], [0.6, 0.2], [0.6, 0.5], [0.6, 0.9], [0.6, 1.22], [0.605, 1.28]])
    glaze, inside = plain(np.array([24.0, 62, 84])), plain(np.array([246.0, 240, 226]))
    curve = smooth_outline([[0.57, 0.24, 0], [0.82, 0.24, 0], [0.99, 0.5, 0], [1.0, 0.8, 0], [0.86, 1.04, 0], [0.57, 1.06, 0]], 8, False)
    handle = tube(curve, 0.066, glaze, 18, aspect=1.5, up=(0, 0, 1), squareness=2.6)
    return assemble([walled(side, 0.055, 0.07, [glaze, hills(), inside], segments=96), handle], 4096)


def backdrop(top, bottom, height, width):
    """(H, W, 3) a vertical run of linear light."""
    t = torch.linspace(0, 1, height)[:, None, None]
    return (torch.tensor(top) * (1 - t) + torch.tensor(bottom) * t).expand(height, width, 3).contiguous()


def photo_mug():
    """The mug on a plain warm ground."""
    item = mug()
    low = float(item.vertices[:, 1].min())
    camera = orbit_degrees([-24.0], 17.0, 2.75, 29.0)
    floor = Floor(low, plain(np.array([178.0, 138, 116])), gloss=0.05, fade=7.0)
    placed = (Placed(item, gloss=0.75, roughness=0.1, crease=0.9),)
    wall = backdrop((0.22, 0.145, 0.105), (0.40, 0.26, 0.19), 640, 640)
    return render_photo(placed, camera, WINDOW, 640, 640, wall, floor, (24, 32), 2, 1.12, shadow_size=384)


def single(item, azimuth, elevation, distance, fov, ground, wall, gloss=0.4, size=(512, 512), floor=True):
    """One object on a plain sweep."""
    camera = orbit_degrees([azimuth], elevation, distance, fov)
    height, width = size
    camera = type(camera)(camera.cam_to_world, camera.focal * torch.tensor([[height / width, 1.0]]), camera.center)
    table = Floor(float(item.vertices[:, 1].min()), plain(np.array(ground)), gloss=0.08, fade=7.0) if floor else None
    placed = (Placed(item, gloss=gloss, roughness=0.15, crease=0.8),)
    return render_photo(placed, camera, WINDOW, *size, backdrop(*wall, *size), table, (20, 28), 2, 1.1, shadow_size=320)


def photo_car():
    """A toy car on white."""
    item = assemble(car(np.random.default_rng(5)))
    return single(item, 38.0, 22.0, 2.3, 30.0, (238.0, 238, 240), ((0.6, 0.62, 0.65), (0.8, 0.8, 0.82)), 0.8, (480, 640))


def photo_plant():
    """A potted plant, cut out."""
    item = assemble(potted(np.random.default_rng(51)))
    return single(item, 15.0, 16.0, 2.6, 28.0, (0.0, 0, 0), ((0.8, 0.8, 0.8), (0.8, 0.8, 0.8)), 0.25, floor=False)


def photo_teddy():
    """A plush bear before a blue wall."""
    item = assemble(teddy(np.random.default_rng(4)))
    return single(item, 28.0, 12.0, 2.6, 30.0, (150.0, 178, 200), ((0.16, 0.25, 0.36), (0.24, 0.36, 0.48)), 0.05)


def photo_teapot():
    """A teapot on a wooden table, with the day's clutter behind it."""
    item = assemble([part.turned("y", 0.35) for part in teapot(np.random.default_rng(3))])
    low = float(item.vertices[:, 1].min())
    random = np.random.default_rng(8)
    others = []
    for kind, x, z, size in (
        (book, -1.15, -1.2, 0.9),
        (can, 0.95, -1.35, 0.75),
        (potted, 0.1, -2.0, 1.3),
        (bottle, -0.55, -1.75, 1.1),
        (fruit, 1.15, -0.35, 0.35),
    ):
        thing = assemble(kind(random))
        others.append(Placed(thing, (x, low - size * float(thing.vertices[:, 1].min()), z), size, 0.4, 0.3))
    room = random_background(np.random.default_rng(70), 640)
    wall = torch.from_numpy(blurred(room, 9.0) / 255) ** 2.2 * 0.8
    floor = Floor(low, wood(np.random.default_rng(5), 512), tile=3.0, gloss=0.2, fade=9.0)
    camera = orbit_degrees([-8.0], 18.0, 3.0, 32.0)
    return render_photo(
        (Placed(item, gloss=0.8, roughness=0.12), *others), camera, WINDOW, 576, 576, wall, floor, (20, 28), 2, 1.15, shadow_size=512
    )


PHOTOS = {"mug.png": photo_mug, "car.jpg": photo_car, "plant.png": photo_plant, "teddy.jpg": photo_teddy, "teapot.jpg": photo_teapot}
CUT_OUT = {"plant.png"}

if __name__ == "__main__":
    for name in sys.argv[1:] or PHOTOS:
        photo = PHOTOS[name]()
        channels = [photo.rgb, photo.alpha[..., None]] if name in CUT_OUT else [photo.rgb]
        pixels = (torch.cat(channels, -1).clamp(0, 1) * 255).round().byte().numpy()
        Image.fromarray(pixels).save(HERE / name, **({"quality": 90} if name.endswith(".jpg") else {"optimize": True}))
