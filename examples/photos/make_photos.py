"""Render the example photos from objects made by code: python examples/photos/make_photos.py [NAME ...]"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from img23d.priors.photo_lights import Softbox, Studio
from img23d.priors.procedural.outlines import smooth_outline
from img23d.priors.procedural.parts import assemble
from img23d.priors.procedural.surfaces import tube
from img23d.priors.procedural.vessels import walled
from img23d.priors.render_photo import Floor, Placed, render_photo
from img23d.priors.textures import plain
from img23d.scene.cameras import orbit_degrees

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
    """On a pale table before a plain wall."""
    item = mug()
    low = float(item.vertices[:, 1].min())
    camera = orbit_degrees([-24.0], 17.0, 2.75, 29.0)
    floor = Floor(low, plain(np.array([226.0, 222, 214])), gloss=0.1, fade=7.0)
    return render_photo((Placed(item, turn=0.0, gloss=0.75, roughness=0.1, crease=0.9),), camera, WINDOW, 640, 640,
                        backdrop((0.40, 0.42, 0.42), (0.62, 0.62, 0.60), 640, 640), floor, (32, 48), 2, 1.12, shadow_size=384).rgb  # fmt: skip


PHOTOS = {"mug.png": photo_mug}

if __name__ == "__main__":
    for name in sys.argv[1:] or PHOTOS:
        pixels = (PHOTOS[name]().clamp(0, 1) * 255).round().byte().numpy()
        options = {"quality": 88} if name.endswith(".jpg") else {"optimize": True}
        Image.fromarray(pixels).save(HERE / name, **options)
