"""How well an asset agrees with its photo, seen from the photo's camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from img23d.evals.metrics import psnr
from img23d.io.asset_views import draw_asset
from img23d.ops.delight import Light, relit
from img23d.ops.raster import Rasterizer
from img23d.scene import TexturedMesh, Views


@dataclass(frozen=True)
class Fidelity:
    """Agreement with the photo.

    Args:
        silhouette_iou: intersection over union of the pixels whose centre the asset covers and those that the photo's mask covers by half.
        psnr: peak signal-to-noise ratio in dB of the texture, unlit or in the given light, where photo and asset both cover a pixel wholly.
    """

    silhouette_iou: float
    psnr: float


def fidelity(views: Views, asset: TexturedMesh, rasterizer: Rasterizer, light: Light | None = None) -> Fidelity:
    """Compare an asset with the first view at the view's own size.

    Args:
        views: the photo with its camera.
        asset: in the object frame of that camera.
        rasterizer: from `img23d.backends.rasterizers.choose_rasterizer`.
        light: what was taken out of the photo's colours (`img23d.ops.delight.find_light`) and is put back before they are compared.
    """
    size = views.mask.shape[-1]
    seen = draw_asset(replace(asset, normal_map=None), views.cameras[:1], size, size, rasterizer)
    # Not by the smoothed picture's coverage: of two by two samples, two are a half, and either way of counting them is off.
    points = views.cameras[:1].project(asset.mesh.vertices)
    shown, wanted = rasterizer.face_ids(points, asset.mesh.faces, size, size)[0] >= 0, views.mask[0] > 0.5
    overlap = float((shown & wanted).sum()) / max(1.0, float((shown | wanted).sum()))
    whole = (seen.mask[0] > 0.999) & (views.mask[0] > 0.999)
    if not bool(whole.any()):
        return Fidelity(overlap, 0.0)
    shown_rgb = seen.rgb[0]
    if light is not None:
        normals = torch.nn.functional.normalize(seen.normal[0] @ views.cameras.cam_to_world[0, :3, :3].T.to(seen.normal), dim=-1)
        shown_rgb = relit(shown_rgb, light.log_shading(normals))
    return Fidelity(overlap, psnr(shown_rgb.cpu().numpy(), views.rgb[0].cpu().numpy(), whole.cpu().numpy()))
