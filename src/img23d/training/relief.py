"""Random relief for training objects: bumps, wrinkles, grooves, plates and cells that turn normals without moving the surface.

Few models to learn from have any, and nearly all things that are photographed do.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from img23d.ops.normals import unit

Field = Callable[[Tensor], Tensor]
STEP = 2e-3  # object units, between the places whose heights give a slope
STEEPEST = 1.2  # slopes are bent to stay below this, or surfaces would turn away from the eye


class Relief:
    """A height over the surface, as a function of the place in [-0.5, 0.5]^3.

    Args:
        field: (N, 3) places to (N,) heights of any scale.
        slope: root mean square of the slope where it is not flat.
        dirt: how much darker the lowest places are, 0..1.

    Reference:
        Blinn, Simulation of wrinkled surfaces (1978).
    """

    def __init__(self, field: Field, slope: float, dirt: float) -> None:
        self.field, self.slope, self.dirt = field, slope, dirt

    def gradient(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3) slopes along the axes at places (N, 3), and (N,) heights as standard scores."""
        steps = torch.cat([torch.zeros(1, 3), torch.eye(3)]).to(points) * STEP
        if not len(points):  # a sheet seen edge on
            return points.new_zeros(0, 3), points.new_zeros(0)
        heights = self.field((points + steps[:, None]).reshape(-1, 3)).reshape(4, -1)
        change = (heights[1:] - heights[:1]).T / STEP
        steep = change.square().sum(-1).sqrt()
        bumpy = steep > 0.05 * steep.max().clamp(min=1e-9)
        typical = steep[bumpy].square().mean().sqrt() if bool(bumpy.any()) else steep.new_tensor(1.0)
        change = change * (self.slope / typical.clamp(min=1e-9))
        change = change * (STEEPEST / (STEEPEST + change.square().sum(-1, keepdim=True).sqrt()))
        height = heights[0]
        return change, (height - height.mean()) / height.std(correction=0).clamp(min=1e-9)

    def bend(self, points: Tensor, normals: Tensor, views: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Normals of the bumpy surface, and how much light its hollows leave.

        Args:
            points: (N, 3) on the object.
            normals: (N, 3) unit, of the smooth surface, camera frame.
            views: (N, 3) unit, towards the camera, camera frame.
            turn: (3, 3) orthogonal, from the object's frame to the camera's.

        Returns:
            (N, 3) unit normals on the camera's side, and (N,) 0..1.
        """
        change, height = self.gradient(points)
        change = change @ turn.T
        along = change - (change * normals).sum(-1, keepdim=True) * normals
        bent = unit(normals - along)
        # What turns away from the eye is not seen: such places are laid over until they are seen edge on.
        facing = (bent * views).sum(-1, keepdim=True)
        bent = torch.where(facing < 0.02, unit(bent + (0.02 - facing) * views), bent)
        return bent, 1.0 - self.dirt * torch.sigmoid(-2.0 * height - 1.0)


def random_relief(random: np.random.Generator, device: torch.device | str = "cpu") -> Relief:
    """One kind of relief, or two on top of each other, all over the object or in places only; gentle ones are commoner."""
    field = random_field(random, device)
    if random.random() < 0.35:
        other, share = random_field(random, device), float(random.uniform(0.3, 1.0))
        first = field
        field = lambda points: first(points) + share * other(points)  # noqa: E731
    if random.random() < 0.4:
        where, edge, whole = smooth_noise(random, random.uniform(1.5, 5.0), device), random.uniform(-0.3, 0.3), field
        field = lambda points: whole(points) * ((where(points) - edge) * 6.0).clamp(0.0, 1.0)  # noqa: E731
    slope = math.tan(math.radians(float(np.exp(random.uniform(np.log(4.0), np.log(38.0))))))
    return Relief(field, slope, float(random.uniform(0.0, 0.6)) if random.random() < 0.6 else 0.0)


def random_field(random: np.random.Generator, device: torch.device | str = "cpu") -> Field:
    """Heights of about -1 to 1: rolling, fractal, wrinkled, carved, corrugated, cellular, lumpy or in strands."""
    if random.random() < 0.3:
        return lumps(random, device) if random.random() < 0.6 else strands(random, device)
    kind, cells = random.random(), float(np.exp(random.uniform(np.log(3.0), np.log(40.0))))
    noise = smooth_noise(random, cells, device)
    if kind < 0.2:
        return noise
    if kind < 0.4:
        finer, finest = smooth_noise(random, 2 * cells, device), smooth_noise(random, 4 * cells, device)
        return lambda points: noise(points) + 0.5 * finer(points) + 0.25 * finest(points)
    if kind < 0.55:
        return lambda points: -((1.0 - (2.0 * noise(points)).abs()).clamp(min=0.0) ** 2)  # furrows where the noise is zero
    if kind < 0.7:
        level, width = float(random.uniform(-0.4, 0.4)), float(random.uniform(0.05, 0.2))
        sign = float(random.choice([-1.0, 1.0]))
        return lambda points: sign * torch.sigmoid((noise(points) - level) * (4.0 / width))  # plates with rounded edges
    if kind < 0.85:
        return corrugation(random, cells, device)
    return cellular(random, device)


def smooth_noise(random: np.random.Generator, cells: float, device: torch.device | str = "cpu") -> Field:
    """Smooth random heights of about -1 to 1 with so many swells along each side of the cube."""
    size = math.ceil(cells) + 2
    table = torch.tensor(random.uniform(-1.0, 1.0, (1, 1, size, size, size)), dtype=torch.float32, device=device)
    shift = torch.tensor(random.uniform(0.0, 1.0, 3), dtype=torch.float32, device=device)

    def height(points: Tensor) -> Tensor:
        place = (points.clamp(-0.5, 0.5) + 0.5) * cells + shift
        low = place.floor()
        part = place - low
        place = low + part * part * part * (part * (6.0 * part - 15.0) + 10.0)  # without kinks from cell to cell
        return 1.6 * grid_sample(table, (place * (2.0 / (size - 1)) - 1.0)[None, None, None], align_corners=True)[0, 0, 0, 0]

    return height


def corrugation(random: np.random.Generator, cells: float, device: torch.device | str = "cpu") -> Field:
    """Waves, ribs or grooves along bent lines."""
    along = torch.tensor(random.normal(0.0, 1.0, 3), dtype=torch.float32, device=device)
    along = along / along.norm().clamp(min=1e-6)
    if random.random() < 0.5:  # made things have them upright or level
        along = torch.eye(3, device=device)[int(random.integers(3))]
    bent, bends = smooth_noise(random, random.uniform(1.0, 4.0), device), float(random.uniform(0.0, 2.0))
    sharp = float(random.uniform(1.0, 6.0))

    def height(points: Tensor) -> Tensor:
        wave = torch.sin(math.tau * cells * (points @ along) + bends * bent(points))
        return torch.tanh(sharp * wave) if sharp > 2.0 else wave

    return height


def cellular(random: np.random.Generator, device: torch.device | str = "cpu") -> Field:
    """Pebbles, scales or dents about random places.

    Reference:
        Worley, A cellular texture basis function (1996).
    """
    from scipy.spatial import cKDTree

    count = int(np.exp(random.uniform(np.log(60), np.log(1500))))
    tree = cKDTree(random.uniform(-0.55, 0.55, (count, 3)))
    radius, sign = 0.6 * (1.0 / count) ** (1 / 3), float(random.choice([-1.0, 1.0]))

    def height(points: Tensor) -> Tensor:
        # Farther away than this all is flat, and not to look there takes a third of the time.
        near = torch.from_numpy(tree.query(points.cpu().numpy(), distance_upper_bound=1.1 * radius)[0]).to(points) / radius
        return sign * (1.0 - near.square()).clamp(min=-0.2)

    return height


def lumps(random: np.random.Generator, device: torch.device | str = "cpu") -> Field:
    """Some rounded bumps and dents of all sizes, such as muscles, muzzles, knobs and buttons."""
    count = int(np.exp(random.uniform(np.log(30), np.log(100))))
    centres = torch.tensor(random.uniform(-0.55, 0.55, (count, 3)), dtype=torch.float32, device=device)
    radii = torch.tensor(np.exp(random.uniform(np.log(0.04), np.log(0.22), count)), dtype=torch.float32, device=device)
    tall = radii * torch.tensor(np.where(random.random(count) < 0.7, 1.0, -1.0), dtype=torch.float32, device=device)
    round_off = float(random.uniform(0.4, 2.0))  # below one: steep at the rim; above: flowing into their surroundings

    def height(points: Tensor) -> Tensor:
        total = torch.zeros(len(points), device=points.device)
        for centre, radius, peak in zip(centres, radii, tall):
            total = total + peak * (1.0 - (points - centre).square().sum(-1) / radius**2).clamp(min=1e-6) ** round_off
        return total

    return height


def strands(random: np.random.Generator, device: torch.device | str = "cpu") -> Field:
    """Hair, grain or folds: noise drawn out along lines that wander."""
    noise, wander = smooth_noise(random, random.uniform(10.0, 40.0), device), smooth_noise(random, random.uniform(1.5, 4.0), device)
    turn = torch.tensor(np.linalg.qr(random.normal(0.0, 1.0, (3, 3)))[0], dtype=torch.float32, device=device)
    thin = torch.tensor([1.0, 1.0, 0.12], device=device)
    bent = float(random.uniform(0.0, 0.12))

    def height(points: Tensor) -> Tensor:
        moved = (points @ turn + bent * wander(points)[:, None]) * thin * 0.85
        return noise(moved)

    return height
