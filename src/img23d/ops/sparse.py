"""Sparse systems that are symmetric and positive definite."""

from __future__ import annotations

from typing import Any


def factorised(system: Any) -> Any:
    """The factors of a sparse symmetric positive definite matrix (scipy), with ``solve``; in the order that suits such matrices."""
    from scipy.sparse.linalg import splu

    return splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
