"""Segment: which pixels belong to the object, and a square crop round it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy import ndimage
from torch import Tensor

from img23d.config import Segment
from img23d.errors import InputError
from img23d.io.images import Photo
from img23d.ops.crop import crop, object_box, resize_views_image, spread
from img23d.ops.cutout import plain_background_alpha
from img23d.priors.frame import FILL, IMAGE_SIZE
from img23d.scene import Views
from img23d.scene.cameras import orbit_degrees
from img23d.stages.context import Context

VERSION = 14
DEFAULT_FOV_DEG = 40.0
SMALLEST_OBJECT = 16
PLAIN = 0.02  # darkest to brightest, of 1: what differs by less is noise
SECOND = 0.25  # of the largest part: smaller ones are bystanders, larger ones a second thing that is meant


@dataclass(frozen=True)
class Maps:
    """What the user knows about the photo beforehand, in the photo's own pixels; all optional.

    Args:
        mask: (H, W) coverage 0..1.
        depth: (H, W), any scale and offset; bigger is farther, or nearer where `config.Estimate.depth_convention` is disparity.
        normal: (H, W, 3) unit, camera frame (x right, y up, z towards the viewer).
    """

    mask: Tensor | None = None
    depth: Tensor | None = None
    normal: Tensor | None = None


def segment(photo: Photo, maps: Maps, fov_deg: float | None, options: Segment, context: Context) -> Views:
    """Cut the object out and centre it in a square.

    Args:
        photo: rgb (H, W, 3), optional alpha (H, W).
        maps: maps given by the user.
        fov_deg: vertical field of view of the whole photo in degrees, or None when unknown.

    Returns:
        One view: rgb with the object's colours spread outwards past its border, mask, and the given depth and normals. The
        camera looks along -Z from +Z at elevation 0, so that its frame is the object frame; `estimate` finds the real one.

    Raises:
        InputError: nothing is left, or the object is smaller than 16 pixels.
    """
    alpha = object_alpha(photo, maps.mask, options, context)
    alpha = keep_component(alpha, in_pixels(options.pick, photo), context)
    box = object_box(alpha, FILL)
    if box.side * FILL < SMALLEST_OBJECT:
        raise InputError(f"the object is only {box.side * FILL:.0f} px across", "use a larger photo, or give the object with --mask")
    size = int(min(options.size, max(256, math.ceil(box.side))))
    mask = crop(alpha[..., None], box, size)[..., 0].clamp(0, 1)
    if float(resize_views_image(mask[None], min(IMAGE_SIZE, size)).max()) <= 0.5:
        raise InputError("the object is too thin: a line, less than a hundredth as wide as long", "give what belongs to it with --mask")
    rgb = spread(crop(photo.rgb, box, size, alpha), pure(mask)).clamp(0, 1)
    depth = None if maps.depth is None else crop(maps.depth[..., None], box, size, alpha)[None, ..., 0]
    normal = None if maps.normal is None else torch.nn.functional.normalize(crop(maps.normal, box, size, alpha)[None], dim=-1)
    crop_fov = DEFAULT_FOV_DEG
    if fov_deg:
        crop_fov = math.degrees(2 * math.atan(math.tan(math.radians(fov_deg) / 2) * box.side / photo.rgb.shape[0]))
    distance = 1.0 / math.tan(math.radians(crop_fov) / 2)
    return Views(orbit_degrees([0.0], 0.0, distance, crop_fov), rgb[None], mask[None], depth, normal).to(context.device)


def pure(mask: Tensor) -> Tensor:
    """(S, S) bool: pixels without background in their colour; parts too thin to have any count from half coverage on."""
    full = mask >= 0.95
    near = torch.nn.functional.max_pool2d(full[None].float(), 5, 1, 2)[0] > 0
    return full | ((mask > 0.5) & ~near)


def object_alpha(photo: Photo, given: Tensor | None, options: Segment, context: Context) -> Tensor:
    """(H, W) coverage from the first source that applies: the user's mask, the picture's alpha, a network, a plain background."""
    if given is not None:
        return given
    if options.method in ("auto", "alpha") and photo.alpha is not None:
        return photo.alpha
    if options.method == "alpha":
        raise InputError("the picture has no alpha channel", "--set segment.method=auto, or give --mask")
    if float(photo.rgb.amax((0, 1)).sub(photo.rgb.amin((0, 1))).max()) < PLAIN:
        raise InputError("nothing can be seen in the photo: it is all of one colour", "another photo, or give the object with --mask")
    if options.method == "rembg":
        from img23d.backends.rembg import rembg_alpha

        return rembg_alpha(photo.rgb, options.rembg_model, options.alpha_matting, context.offline, context.commercial_ok)
    if options.method in ("auto", "embedded"):
        from img23d.priors.foreground import foreground_alpha

        context.progress(0.1, "finding the object")
        alpha, confidence = foreground_alpha(photo.rgb, context.device)
        if confidence < 0.5:
            context.warnings.append(
                "the cut-out is uncertain, see 01_segment/mask.png: a plain background, --mask, or --set segment.method=rembg would help"
            )
        return alpha.cpu()
    context.warnings.append("background removed by colour alone: right only for a plain background; look at 01_segment/mask.png")
    return plain_background_alpha(photo.rgb)


def in_pixels(pick: str, photo: Photo) -> tuple[int, int] | None:
    """Column and row of the photo as it was loaded that ``x,y`` in pixels of its file means.

    Raises:
        InputError: not of that form, or outside.
    """
    if not pick:
        return None
    height, width = photo.rgb.shape[:2]
    rows, columns = photo.size or (height, width)
    try:
        x, y = (float(part) for part in pick.split(","))
    except ValueError:
        x = y = math.nan
    if not (0 <= x < columns and 0 <= y < rows):
        raise InputError(f"pick {pick!r} is not x,y in pixels inside the photo of {columns} x {rows}", "--set segment.pick=320,240")
    return int(x * width / columns), int(y * height / rows)


def keep_component(alpha: Tensor, pick: tuple[int, int] | None, context: Context) -> Tensor:
    """Keep the largest connected part, or the one under ``pick`` (column, row), and parts at least a quarter as large.

    Raises:
        InputError: nothing is in the mask, everything is, or nothing lies under ``pick``.
    """
    inside = (alpha > 0.5).cpu().numpy()
    if not inside.any():
        raise InputError("no object found: the mask is empty", "give the object with --mask, or use a photo with a plainer background")
    if inside.mean() > 0.995:
        raise InputError(
            "no background found: the mask covers the whole picture", "give the object with --mask, or leave a margin round it"
        )
    labels, count = ndimage.label(inside)
    if count == 1 and not pick:
        return alpha
    sizes = ndimage.sum_labels(inside, labels, range(1, count + 1))
    if pick:
        chosen = int(labels[pick[1], pick[0]])
        if chosen == 0:
            raise InputError(
                "nothing was cut out where segment.pick points to", "choose a point on the object, in pixels of the photo file"
            )
        keep = labels == chosen
    else:
        big = [index + 1 for index in range(count) if sizes[index] >= SECOND * sizes.max()]
        keep = torch.isin(torch.from_numpy(labels), torch.tensor(big)).numpy()
    dropped = float(sizes.sum() - inside[keep].sum()) / float(sizes.sum())
    if dropped > 0.02 and not pick:
        context.warnings.append(
            f"{dropped:.0%} of the cut-out lies in small separate parts and was dropped; choose another part with segment.pick=x,y"
        )
    soft = ndimage.binary_dilation(keep, iterations=2) & ~(inside & ~keep)
    return alpha * torch.from_numpy(soft)
