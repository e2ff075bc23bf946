"""Observe: pictures of an existing mesh, so that it can be refined like a photographed object. An observation is a rendering."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from img23d.fields.grid import FrozenGrid
from img23d.ops.render import render
from img23d.ops.solidify import around, solidify
from img23d.scene import Cameras, Mesh, ShapePrior, Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.context import Context

VERSION = 1
VIEW_COUNT = 14
VIEW_SIZE = 320
POSE_SIZE = 64
POSE_DISTANCE = 4.0


def solid_field(mesh: Mesh, resolution: int, context: Context) -> FrozenGrid:
    """Signed distance of any mesh in [-1, 1]^3, closed or not, as a field; its colour is grey."""
    sdf = solidify(mesh, resolution, context.rasterizer)
    return FrozenGrid(sdf, torch.full((3, 2, 2, 2), 0.5, device=sdf.device))


def look_around(mesh: Mesh, context: Context) -> Views:
    """Masks, depths and normals of a mesh from all sides; the normals of one-sided sheets are turned to the viewer."""
    cameras = around(VIEW_COUNT).to(mesh.vertices.device)
    with torch.no_grad():
        seen = render(mesh, cameras, VIEW_SIZE, VIEW_SIZE, context.rasterizer).views
    return facing(seen)


def facing(seen: Views) -> Views:
    """The views with all normals towards their camera and full confidence."""
    assert seen.normal is not None
    directions = seen.cameras.rays(*seen.mask.shape[1:])[1]
    away = (seen.normal * directions).sum(-1, keepdim=True) > 0
    normal = torch.where(away, -seen.normal, seen.normal)
    return Views(seen.cameras, seen.rgb, seen.mask, seen.depth, normal, seen.mask)


def find_pose(mesh: Mesh, colors: Tensor | None, photo: Views, context: Context, elevation_deg: float | None = None) -> Cameras:
    """The camera from which a mesh looks most like a cut-out photo.

    Azimuth and elevation are searched, coarse to fine; focal length and principal point follow from the silhouettes' boxes.

    Args:
        mesh: inside [-1, 1]^3.
        colors: (N, 3) sRGB per vertex, or None to compare silhouettes alone.
        photo: one view from `segment`.
        elevation_deg: of the camera, where that is known.
    """
    mask = F.interpolate(photo.mask[:, None], (POSE_SIZE, POSE_SIZE), mode="area")[0, 0]
    mask = mask / mask.amax().clamp(min=1e-6)  # of what is thinner than a pixel here, too, something is inside
    rgb = F.interpolate(photo.rgb.permute(0, 3, 1, 2), (POSE_SIZE, POSE_SIZE), mode="area")[0].permute(1, 2, 0)
    best, best_score = fitted_pose(mesh, 0.0, 0.0, mask), -1.0
    elevations = list(range(-20, 71, 10)) if elevation_deg is None else [elevation_deg]
    candidates = [(float(azimuth), float(elevation)) for azimuth in range(0, 360, 15) for elevation in elevations]
    center = (0.0, 0.0)
    for spread in (None, 6.0, 2.0):
        if spread is not None:
            steps = (-spread, 0.0, spread)
            candidates = [(center[0] + da, min(89.0, center[1] + de)) for da in steps for de in (steps if len(elevations) > 1 else (0.0,))]
        for number, (azimuth, elevation) in enumerate(candidates):
            camera = fitted_pose(mesh, azimuth, elevation, mask)
            score = likeness(mesh, colors, camera, mask, rgb, context)
            if score > best_score:
                best, best_score, center = camera, score, (azimuth, elevation)
            context.progress(number / len(candidates), "finding the photo's camera")
    if best_score < 0.6:
        context.warnings.append(f"the mesh hardly looks like the photo from any side (agreement {best_score:.2f}): is it the same object?")
    return best


def fitted_pose(mesh: Mesh, azimuth_deg: float, elevation_deg: float, mask: Tensor) -> Cameras:
    """A camera in this direction whose picture of the mesh has the mask's bounding box."""
    camera = orbit_degrees([azimuth_deg], elevation_deg, POSE_DISTANCE, 30.0).to(mesh.vertices.device)
    xy = camera.project(mesh.vertices)[0, :, :2]
    low, high = xy.amin(0), xy.amax(0)
    inside = torch.nonzero(mask > 0.5).flip(-1).to(xy) / mask.shape[-1]
    first, last = inside.amin(0), inside.amax(0) + 1.0 / mask.shape[-1]
    scale = ((last - first).max() / (high - low).max()).expand(2)
    center = (first + last) / 2 - ((low + high) / 2 - 0.5) * scale
    return Cameras(camera.cam_to_world, camera.focal * scale, center[None])


def likeness(mesh: Mesh, colors: Tensor | None, camera: Cameras, mask: Tensor, rgb: Tensor, context: Context) -> float:
    """Silhouette overlap (IoU), less the colour difference where both are."""
    ids = context.rasterizer.face_ids(camera.project(mesh.vertices), mesh.faces, POSE_SIZE, POSE_SIZE)[0]
    seen, wanted = ids >= 0, mask > 0.5
    both = seen & wanted
    overlap = float(both.sum()) / max(1.0, float((seen | wanted).sum()))
    if colors is None or not bool(both.any()):
        return overlap
    shown = colors[mesh.faces[ids[both]]].mean(1)
    return overlap - 0.5 * float((shown - rgb[both]).abs().mean())


def posed_views(photo: Views, camera: Cameras, mesh: Mesh, context: Context) -> Views:
    """The photo with the mesh's own depth and normals as weak hints: its outline and colours are what it adds."""
    size = photo.mask.shape[-1]
    with torch.no_grad():
        seen = facing(render(mesh, camera, size, size, context.rasterizer).views)
    return Views(camera, photo.rgb, photo.mask, seen.depth, seen.normal, 0.3 * seen.mask)


def joined(first: Views, second: Views, size: int) -> Views:
    """Both sets of views at one size."""
    parts = []
    for views in (first, second):
        maps = {}
        for name in ("rgb", "mask", "depth", "normal", "confidence"):
            value = getattr(views, name)
            planes = value.permute(0, 3, 1, 2) if value.dim() == 4 else value[:, None]
            planes = F.interpolate(planes, (size, size), mode="area" if planes.shape[-1] > size else "bilinear")
            maps[name] = planes.permute(0, 2, 3, 1) if value.dim() == 4 else planes[:, 0]
        parts.append((views.cameras, maps))
    (a, one), (b, two) = parts
    return Views(a.joined(b), **{name: torch.cat([one[name], two[name]]) for name in one})


def known_prior(field: FrozenGrid, far_rgb: Tensor, far_known: Tensor) -> ShapePrior:
    """A prior that is certain: the shape of an existing mesh and the colours that it already has.

    Args:
        far_rgb: (S, S, 3) colour of the last surface along the photo's rays.
        far_known: (S, S) where there is one.
    """
    return ShapePrior(field.sdf_volume, torch.ones_like(field.sdf_volume), far_rgb, far_known)
