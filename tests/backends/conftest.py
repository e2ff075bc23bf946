"""Shared by the tests of backends: ONNX models of one node, written without the onnx package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FLOAT = 1


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    sides = b"".join(_bytes(1, _number(1, side) if isinstance(side, int) else _bytes(2, side)) for side in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, sides)))


def one_node(
    path: Path,
    operation: str,
    taken: tuple[str, tuple[int | str, ...]],
    given: tuple[str, tuple[int | str, ...]],
    attributes: dict[str, int | list[int]] | None = None,
) -> Path:
    """Write an ONNX model of one node.

    Args:
        operation: of ONNX, opset 13: Identity, ReduceMean, ...
        taken: name and shape of the input; a side may be a name.
        given: name and shape of the output.
        attributes: integers or lists of them.
    """
    node = _bytes(1, taken[0]) + _bytes(2, given[0]) + _bytes(4, operation)
    for name, value in (attributes or {}).items():
        if isinstance(value, int):
            content = _bytes(1, name) + _number(3, value) + _number(20, 2)
        else:
            content = _bytes(1, name) + b"".join(_number(8, entry) for entry in value) + _number(20, 7)
        node += _bytes(5, content)
    graph = _bytes(1, node) + _bytes(2, "one_node") + _bytes(11, _value(*taken)) + _bytes(12, _value(*given))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13)))
    return path


@pytest.fixture
def onnx_model() -> Callable[..., Path]:
    """`one_node`."""
    return one_node
