"""Every stage works where a device's memory is not the host's, and the loops of fit and refine hardly wait for it; no GPU is needed.

The device is a make-believe one (`make_believe.py`) in a process of its own. tests/test_devices.py asks for more, of real devices, and of
this one with `python tests/make_believe.py -m pytest tests/test_devices.py`, which takes minutes.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
from torch.utils import backend_registration

HERE = Path(__file__).parent
PHOTO = HERE.parent / "examples" / "photos" / "teapot.jpg"
SMALL = ["threads=1", "segment.size=256", "prior.resolution=40", "prior.primitives=false", "fit.resolution=32", "fit.rays=256"]
SMALL += ["refine.resolution=16", "refine.image_size=96", "texture.faces=1500", "texture.size=128"]
SMALL += ["fit.steps=6", "refine.steps=6"]
WAITS = ("a number", "a size", "to the host")

PROGRAM = """
import json, sys
from pathlib import Path
import torch
import make_believe

device = make_believe.register()
there, here = torch.ones(2, 3).to(device), torch.ones(3)
refused = []
mixtures = {"sum": lambda: there + here, "product": lambda: there @ here, "index": lambda: here[there[0].long()], "numpy": there.numpy}
for name, mix in mixtures.items():
    try:
        mix()
    except (RuntimeError, TypeError):
        refused.append(name)
allowed = (there + torch.tensor(1.0))[torch.tensor([0])].sum().item()
photo, out, settings = json.loads(sys.argv[1])
asked = make_believe.counted_run(Path(photo), Path(out), "draft", settings, device)
print(json.dumps({"refused": refused, "allowed": allowed, "asked": asked}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch cannot have a device written in Python")
    given = json.dumps([str(PHOTO), str(tmp_path_factory.mktemp("runs")), SMALL])
    done = subprocess.run([sys.executable, "-c", PROGRAM, given], cwd=HERE, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]  # "Expected all tensors to be on the same device" where they are mixed
    return json.loads(done.stdout.splitlines()[-1])


def test_the_device_refuses_what_cuda_refuses(told):
    assert told["refused"] == ["sum", "product", "index", "numpy"]
    assert told["allowed"] == 6.0


def test_a_photo_goes_through_every_stage(told):
    operations = {stage: sum(found.get("operations", 0) for found in counts) for stage, counts in told["asked"].items()}
    assert all(operations[stage] > 20 for stage in ("segment", "estimate", "fit", "refine", "texture"))


@pytest.mark.parametrize(("stage", "most"), [("fit", 0), ("refine", 36)])
def test_a_step_hardly_waits_for_the_device(told, stage, most):
    steps = [sum(found.get(kind, 0) for kind in WAITS) for found in told["asked"][stage] if found.get("operations", 0) > 100]
    assert len(steps) >= 6 and median(steps) <= most
