"""What the stages hand on, as safetensors files in the run folder, with pictures beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from img23d.errors import InputError
from img23d.fields.grid import FrozenGrid
from img23d.io.files import atomic_write
from img23d.io.images import save_image
from img23d.io.splats import save_splats
from img23d.scene import Cameras, Mesh, ShapePrior, TexturedMesh, Views
from img23d.stages.pictures import field_form, form_picture

SOURCE = "source_mesh.safetensors"
COLUMNS = 8  # views side by side in a picture of all
CLOUD = "cloud.splat.ply"
Scene = TypeVar("Scene", Views, ShapePrior)


def save_tensors(path: Path, tensors: dict[str, Tensor | None]) -> None:
    """Write tensors that are there; None is left out. The library takes no path that is not valid UTF-8, so it is given none."""
    path.write_bytes(save({name: value.detach().cpu().contiguous() for name, value in tensors.items() if value is not None}))


def load_tensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """What `save_tensors` wrote.

    Raises:
        InputError: it has been damaged since.
    """
    try:
        return {name: value.to(device) for name, value in load(path.read_bytes()).items()}
    except SafetensorError as error:
        raise InputError(f"{path} is damaged", "the command that made this run makes it anew") from error


def save_views(views: Views, folder: Path) -> None:
    """views.safetensors, and a picture of each map of the first view."""
    tensors = {name: value for name, value in vars(views).items() if name != "cameras"}
    save_tensors(folder / "views.safetensors", {**tensors, **vars(views.cameras)})
    inside = views.mask[0, ..., None]
    save_image(folder / "cutout.png", torch.cat([views.rgb[0], inside], -1).cpu())
    save_image(folder / "mask.png", views.mask[0].cpu())
    if views.depth is not None:
        save_image(folder / "depth.png", depth_picture(views.depth[0], views.mask[0] > 0.5).cpu())
    if views.normal is not None:
        save_image(folder / "normal.png", ((views.normal[0] * 0.5 + 0.5) * inside).clamp(0, 1).cpu())


def load_views(folder: Path, device: torch.device | str = "cpu", name: str = "views") -> Views:
    """What `save_views` wrote."""
    tensors = load_tensors(folder / f"{name}.safetensors", device)
    cameras = Cameras(*(tensors.pop(name) for name in ("cam_to_world", "focal", "center")))
    return Views(cameras, **tensors)


def save_prior(prior: ShapePrior, folder: Path) -> None:
    """prior.safetensors and a picture of the far side's colours."""
    save_tensors(folder / "prior.safetensors", dict(vars(prior)))
    save_image(folder / "back.png", prior.back_rgb.clamp(0, 1).cpu())


def load_prior(folder: Path, device: torch.device | str = "cpu") -> ShapePrior:
    """What `save_prior` wrote."""
    return ShapePrior(**load_tensors(folder / "prior.safetensors", device))


def save_guess(guess: tuple[Views, ShapePrior], folder: Path) -> None:
    """The views and the prior of `estimate`."""
    save_views(guess[0], folder)
    save_prior(guess[1], folder)


def load_guess(folder: Path, device: torch.device | str = "cpu") -> tuple[Views, ShapePrior]:
    """What `save_guess` wrote."""
    return load_views(folder, device), load_prior(folder, device)


def save_imagined(made: tuple[Views, ShapePrior, Views], folder: Path) -> None:
    """The photo, the prior and the drawn views of `imagine`, and these side by side on white."""
    save_guess(made[:2], folder)
    save_drawn(made[2], folder)


def save_drawn(drawn: Views, folder: Path) -> None:
    """Views from other sides, and their pictures side by side on white, with normals below where these are known."""
    tensors = {name: value for name, value in vars(drawn).items() if name != "cameras"}
    save_tensors(folder / "drawn.safetensors", {**tensors, **vars(drawn.cameras)})
    maps = [drawn.rgb]
    if drawn.normal is not None and drawn.confidence is not None and bool(drawn.confidence.any()):
        maps.append(drawn.normal * 0.5 + 0.5)
    cover, rows = drawn.mask[..., None], []
    for pictures in maps:
        shown = list((pictures * cover + 1 - cover).clamp(0, 1).cpu())
        columns = min(COLUMNS, len(shown))
        shown += [torch.ones_like(shown[0])] * (-len(shown) % columns)
        rows += [torch.cat(shown[row : row + columns], 1) for row in range(0, len(shown), columns)]
    save_image(folder / "drawn.png", torch.cat(rows))


def load_imagined(folder: Path, device: torch.device | str = "cpu") -> tuple[Views, ShapePrior, Views]:
    """What `save_imagined` wrote."""
    return *load_guess(folder, device), load_drawn(folder, device)


def load_drawn(folder: Path, device: torch.device | str = "cpu") -> Views:
    """What `save_drawn` wrote."""
    return load_views(folder, device, "drawn")


def save_field(field: FrozenGrid, folder: Path) -> None:
    """field.safetensors, its surface from four sides, and the Gaussians that it was made of, where it was."""
    settled = None if field.settled is None else torch.tensor(field.settled, dtype=torch.float64)
    volumes = {"sdf": field.sdf_volume, "color": field.color_volume, "settled": settled, "known": field.known}
    save_tensors(folder / "field.safetensors", volumes)
    save_image(folder / "form.png", field_form(field, field.sdf_volume.device))
    if field.cloud is not None:
        save_splats([folder / CLOUD], field.cloud)


def load_field(folder: Path, device: torch.device | str = "cpu") -> FrozenGrid:
    """What `save_field` wrote, without the Gaussians: they are for other programs, and folders of before have none."""
    tensors = load_tensors(folder / "field.safetensors", device)
    settled = float(tensors["settled"]) if "settled" in tensors else None
    return FrozenGrid(tensors["sdf"], tensors["color"], settled, tensors.get("known"))


def save_mesh_artifact(mesh: Mesh, folder: Path) -> None:
    """mesh.safetensors, and the mesh from four sides."""
    save_tensors(folder / "mesh.safetensors", {"vertices": mesh.vertices, "faces": mesh.faces})
    save_image(folder / "form.png", form_picture(mesh))


def load_mesh_artifact(folder: Path, device: torch.device | str = "cpu") -> Mesh:
    """What `save_mesh_artifact` wrote."""
    tensors = load_tensors(folder / "mesh.safetensors", device)
    return Mesh(tensors["vertices"], tensors["faces"])


def save_textured(asset: TexturedMesh, folder: Path) -> None:
    """textured.safetensors, and the textures as pictures."""
    tensors = {name: value for name, value in vars(asset).items() if isinstance(value, Tensor)}
    material = torch.tensor(asset.metallic_roughness, dtype=torch.float64)
    save_tensors(folder / "textured.safetensors", {**tensors, **vars(asset.mesh), "metallic_roughness": material})
    save_image(folder / "base_color.png", asset.base_color.clamp(0, 1).cpu())
    if asset.normal_map is not None:
        save_image(folder / "normal_map.png", asset.normal_map.clamp(0, 1).cpu())


def load_textured(folder: Path, device: torch.device | str = "cpu") -> TexturedMesh:
    """What `save_textured` wrote."""
    tensors = load_tensors(folder / "textured.safetensors", device)
    mesh = Mesh(tensors.pop("vertices"), tensors.pop("faces"))
    metallic, roughness = tensors.pop("metallic_roughness").tolist()
    return TexturedMesh(mesh, metallic_roughness=(metallic, roughness), **tensors)


def save_source(source: TexturedMesh | Mesh, folder: Path) -> None:
    """source_mesh.safetensors: a mesh as it was read, for a run to go on when the files that it names have moved; pictures in bytes."""
    tensors = {**vars(source), **vars(source.mesh)} if isinstance(source, TexturedMesh) else dict(vars(source))
    kept = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
    for name in ("base_color", "normal_map"):
        if name in kept:
            kept[name] = (kept[name] * 255).round().byte()
    if isinstance(source, TexturedMesh):
        kept["metallic_roughness"] = torch.tensor(source.metallic_roughness, dtype=torch.float64)
    atomic_write(folder / SOURCE, lambda partial: save_tensors(partial, dict(kept)))


def load_source(folder: Path) -> TexturedMesh | Mesh | None:
    """What `save_source` wrote; None where nothing, or nothing whole, is there."""
    try:
        tensors = load_tensors(folder / SOURCE)
        mesh = Mesh(tensors.pop("vertices"), tensors.pop("faces"), tensors.pop("corner_normals", None))
    except (OSError, KeyError, InputError):
        return None
    if "uv" not in tensors:
        return mesh
    metallic, roughness = tensors.pop("metallic_roughness").tolist()
    maps = {name: value.float() / 255 if value.dtype == torch.uint8 else value for name, value in tensors.items()}
    return TexturedMesh(mesh, metallic_roughness=(metallic, roughness), **maps)


def depth_picture(depth: Tensor, inside: Tensor) -> Tensor:
    """(H, W) in 0..1, near is bright, 0 outside."""
    if not bool(inside.any()):
        return torch.zeros_like(depth)
    near, far = depth[inside].min(), depth[inside].max()
    return torch.where(inside, 1 - 0.85 * (depth - near) / (far - near).clamp_min(1e-6), torch.zeros_like(depth)).clamp(0, 1)
