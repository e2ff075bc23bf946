"""An accelerator computes what the CPU computes, stage by stage; without one every test here is counted as skipped.

Checked: a whole photo through all stages (both cut-out and shape networks included), with both of refine's grids: silhouettes,
surfaces and textures of the two results agree, and so does the first loss of `fit`. Refining an existing textured mesh to a photo, and
a step of the prior's training, run to their end and agree too. Any mixing of host and device tensors on the way raises.

The device is CUDA, or else whatever torch knows as its accelerator, so that a device that is registered from outside is tested
alike. Apple's is left out: it has no float64.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from img23d import config, pipeline
from img23d.backends.rasterizers import choose_rasterizer
from img23d.backends.tetrahedra import choose_tetrahedra
from img23d.evals.fidelity import fidelity
from img23d.evals.metrics import chamfer, surface_points
from img23d.ops.raster import face_ids
from img23d.ops.solidify import around
from img23d.refinement import refine_mesh
from img23d.stages import artifacts
from img23d.stages.context import Context
from img23d.stages.fit import fit
from img23d.training.options import TrainOptions
from img23d.training.samples import Sample
from img23d.training.shape_trainer import Trainer

PHOTO = Path(__file__).parents[1] / "examples" / "photos" / "mug.png"
SMALL = ["threads=1", "segment.size=256", "prior.resolution=40", "fit.resolution=32", "fit.steps=6", "fit.rays=256", "refine.steps=6"]
SMALL += ["refine.resolution=16", "refine.image_size=96", "texture.faces=1500", "texture.size=128", "texture.normal_map=true"]


@pytest.fixture(scope="module")
def device():
    if torch.cuda.is_available():
        return torch.device("cuda")
    found = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
    if found is None or found.type == "mps":
        pytest.skip("no CUDA or other accelerator with float64")
    return found


def context_on(device):
    return Context(torch.device(device), choose_rasterizer("auto", device), choose_tetrahedra("auto", device), offline=True)


@pytest.fixture(scope="module", params=["marching_tets", "flexicubes"])
def runs(device, request, tmp_path_factory):
    """Run folders of the same photo: on the CPU and on the device."""
    options = config.load("draft", [*SMALL, f"refine.extractor={request.param}"])
    places = (tmp_path_factory.mktemp("cpu"), tmp_path_factory.mktemp("device"))
    return [pipeline.generate(PHOTO, out, options, context=context_on(on)) for out, on in zip(places, ("cpu", device))]


def test_a_photo_becomes_the_same_object(runs):
    meshes = [artifacts.load_mesh_artifact(run.run_folder / "04_refine") for run in runs]
    cameras = around(6)
    seen = [face_ids(cameras.project(mesh.vertices), mesh.faces, 128, 128) >= 0 for mesh in meshes]
    assert (seen[0] & seen[1]).sum() / (seen[0] | seen[1]).sum() > 0.98
    points = [surface_points(m.vertices.numpy(), m.faces.numpy(), 20_000, np.random.default_rng(0)) for m in meshes]
    assert chamfer(*points) < 0.015  # random points of one and the same surface are 0.009 apart
    views = artifacts.load_views(runs[0].run_folder / "02_estimate")
    rasterizer = choose_rasterizer("auto")
    here, there = (fidelity(views, artifacts.load_textured(run.run_folder / "05_texture"), rasterizer) for run in runs)
    assert abs(here.silhouette_iou - there.silhouette_iou) < 0.01 and abs(here.psnr - there.psnr) < 1.0


def test_the_first_loss_of_fit_is_the_same(runs, device):
    told = []
    options = config.load("draft", [*SMALL, "fit.steps=1"]).fit
    for on in ("cpu", device):
        views, prior = artifacts.load_guess(runs[0].run_folder / "02_estimate", on)
        fit(views, prior, options, replace(context_on(on), progress=lambda fraction, text: told.append(float(text.split()[-1]))))
    assert len(told) == 2 and told[0] == pytest.approx(told[1], abs=2e-3)


def test_a_textured_mesh_is_refined_to_a_photo(runs, device, tmp_path):
    options = config.load("draft", SMALL)
    for photo in (None, PHOTO):
        result = refine_mesh(runs[0].path, tmp_path / str(photo is None), options, photo, context=context_on(device))
        assert result.path.stat().st_size > 0 and 0 < result.figures["faces"] <= 1500


def test_the_prior_learns_the_same(device, tmp_path):
    random = np.random.default_rng(0)
    hit = np.hypot(*np.mgrid[-1:1:128j, -1:1:128j]) < 0.7
    byte = lambda *shape: random.integers(0, 255, shape, np.uint8)  # noqa: E731
    depth, normal = random.uniform(-0.5, 0.5, (2, 128, 128)).astype(np.float16), byte(128, 128, 3).view(np.int8)
    volume, view = byte(64, 64, 64).view(np.int8), np.array([0.1, 0.0, 0.7], np.float32)
    sample = Sample(byte(128, 128, 3), hit * np.uint8(255), byte(2, 128, 128), hit, depth, normal, byte(128, 128, 3), volume, view)
    source = type("Source", (), {"samples": lambda self, step: [sample] * 2})()
    losses = []
    for on in ("cpu", device.type):
        trainer = Trainer(replace(TrainOptions(size="tiny", steps=4, half_size=0.0), device=on), source, tmp_path)
        trainer.one_step()
        trainer.save()
        assert trainer.load()
        trainer.one_step()
        losses.append(trainer.recent["total"])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)  # in bfloat16 where that is fast
