"""Compiled loops work where numba finds no folder for its cache, as in a read-only install."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
from numba.core.dispatcher import Dispatcher

def refuse(self):  # what numba does where it can write nowhere
    raise RuntimeError("cannot cache function: no locator available for file")

Dispatcher.enable_caching = refuse
import numpy as np
from img23d.ops import collapse
from img23d.ops.parabola import lower_envelope
out = np.empty((1, 3))
lower_envelope(np.array([[0.0, 9.0, 9.0]]), out)
print(out.tolist())
"""


def test_loops_compile_without_a_cache_folder():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[0.0, 1.0, 4.0]]"
