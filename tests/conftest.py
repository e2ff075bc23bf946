"""Shared by all tests: one thread (they may run beside each other), and a ball that is known exactly."""

import math
import os

import pytest

# Read when torch is loaded: threads that wait for each other sleep, and do not take the time of what else this machine does.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from img23d.backends.threads import settle_threads

settle_threads(1)


# Files that take longest, the longest first.
LONGEST = ("test_golden.py", "test_primitive.py", "test_fit_gaussians.py", "test_end_to_end.py", "test_pipeline.py")


def pytest_configure(config):
    """Processes beside each other would begin with the files of most tests, and the two of the golden numbers come last, alone."""
    if hasattr(config.option, "loadscopereorder"):  # of pytest-xdist
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """The longest files begin first, the others as they are found; tests of a file keep their order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


@pytest.fixture(autouse=True)
def one_thread():
    """Every test begins with one thread, whatever the tests before it asked for: several cost the small sizes here more than they give."""
    torch.set_num_threads(1)


class Ball:
    """A ball of known radius at the origin, and what a camera sees of it."""

    radius = 0.6

    def __init__(self):
        from img23d.scene.cameras import orbit_degrees

        self.cameras = orbit_degrees([0.0], 0.0, 2.4, 40.0)

    def views(self, size=96, cameras=None):
        """Exact mask (antialiased over half a pixel), depth and normals; a colour that tells left from right and top from bottom."""
        from img23d.scene import Views

        cameras = self.cameras if cameras is None else cameras
        origins, directions = cameras.rays(size, size)
        a, b = (directions**2).sum(-1), (origins * directions).sum(-1)
        c = (origins**2).sum(-1) - self.radius**2
        root = b * b - a * c
        miss = (c + self.radius**2 - b * b / a).sqrt()  # distance of the ray from the centre
        pixel = 2.0 * 2.4 * math.tan(math.radians(20)) / size
        mask = ((self.radius - miss) / pixel + 0.5).clamp(0, 1)
        depth = (-b - root.clamp_min(0).sqrt()) / a
        points = origins + depth[..., None] * directions
        normal = torch.nn.functional.normalize(points, dim=-1)
        return Views(cameras, (0.5 + 0.4 * normal).clamp(0, 1), mask, depth, normal, mask.clone())

    def prior(self, radius=None, resolution=40, confidence=1.0):
        """A `ShapePrior` that holds a ball, by default the right one and known for sure."""
        from img23d.fields.analytic import Sphere
        from img23d.ops.volume import volume_points
        from img23d.scene import ShapePrior

        points = volume_points(resolution).reshape(-1, 3)
        sdf = Sphere(radius or self.radius).sdf(points).reshape(resolution, resolution, resolution)
        return ShapePrior(sdf, torch.full_like(sdf, confidence), torch.full((96, 96, 3), 0.5), torch.ones(96, 96))


@pytest.fixture(scope="session")
def ball():
    return Ball()


@pytest.fixture
def context():
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.backends.tetrahedra import choose_tetrahedra
    from img23d.stages.context import Context

    return Context(torch.device("cpu"), choose_rasterizer("numba"), choose_tetrahedra("torch"))
