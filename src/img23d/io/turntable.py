"""An animation of the asset turning round once."""

from __future__ import annotations

from pathlib import Path

from img23d.errors import OutputError
from img23d.io.asset_views import draw_asset, fitted
from img23d.io.files import atomic_write
from img23d.io.images import to_pillow
from img23d.io.previews import on_white
from img23d.ops.raster import Rasterizer
from img23d.scene import TexturedMesh
from img23d.scene.cameras import orbit_degrees

_BATCH = 4
_FORMATS = {".gif": "GIF", ".webp": "WEBP"}


def save_turntable(
    path: str | Path,
    asset: TexturedMesh,
    rasterizer: Rasterizer,
    frames: int = 24,
    size: int = 320,
    elevation_deg: float = 12.0,
    seconds: float = 3.0,
    force: bool = True,
) -> Path:
    """Write an endless animation of the asset turning round, on white.

    Args:
        path: where to, ending in ``.webp`` (small, sharp) or ``.gif`` (256 colours, shown everywhere).
        asset: the textured mesh.
        rasterizer: from `img23d.backends.rasterizers.choose_rasterizer`.
        frames: pictures of one turn.
        size: pixels of a picture's side.
        elevation_deg: how far from above it is seen.
        seconds: duration of one turn.
        force: replace an existing file; otherwise it is an error.

    Raises:
        OutputError: unknown suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise OutputError(f"unknown animation format {path.suffix!r} of {path}", "end the name in .webp or .gif")
    centred = fitted(asset)
    pictures = []
    for first in range(0, frames, _BATCH):
        azimuth = [360.0 * index / frames for index in range(first, min(first + _BATCH, frames))]
        cameras = orbit_degrees(azimuth, elevation_deg, 4.2, 28.5).to(asset.mesh.vertices.device)
        drawn = draw_asset(centred, cameras, size, size, rasterizer)
        pictures += [to_pillow(on_white(rgb, None, mask)) for rgb, mask in zip(drawn.rgb, drawn.mask)]
    options = {"save_all": True, "append_images": pictures[1:], "loop": 0, "duration": round(1000 * seconds / frames)}
    if path.suffix.lower() == ".webp":
        options["quality"] = 85
    return atomic_write(path, lambda partial: pictures[0].save(partial, _FORMATS[path.suffix.lower()], **options), force)
