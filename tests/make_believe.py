"""A make-believe accelerator: the CPU under another name, whose memory is its own by decree. It needs no GPU.

Its tensors wrap tensors of the host. What mixes them with the host's raises, as on CUDA; what CUDA allows is allowed: numbers without axes,
and indices of the host into tensors of the device. Operations and waits of the host are counted. It says nothing about speed, memory or
rounding of a real device. A process that has registered it cannot be rid of it, so it gets processes of its own:

    python tests/make_believe.py PHOTO [KEY=VALUE...]       a whole run on it; what each stage asked of it, as a table
    python tests/make_believe.py -m pytest ARGUMENTS...     tests that look for an accelerator, such as tests/test_devices.py, find it
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

NAME = "believed"
COUNTED: Counter[str] = Counter()  # "operations", and the waits by what the host waited for

aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default, aten._unsafe_index.Tensor}
# The host waits for these, since the size of what they give depends on the data, or since it is a number.
READS = {
    aten._local_scalar_dense.default: "a number", aten.equal.default: "a number", aten.nonzero.default: "a size",
    aten.masked_select.default: "a size", aten._unique2.default: "a size", aten.unique_consecutive.default: "a size",
    aten.unique_dim.default: "a size", aten.bincount.default: "a size", aten.repeat_interleave.Tensor: "a size",
}  # fmt: skip
# torch makes these empty and lets them grow, which wrappers cannot.
GROWN = (aten.arange.default, aten.arange.start, aten.arange.start_step, aten.linspace.default, aten.eye.default, aten.randperm.default)
LIBRARIES: list[torch.library.Library] = []  # registrations last as long as these


class Believed(torch.Tensor):
    """A tensor of the make-believe device."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> Believed:
        where = {"strides": raw.stride(), "storage_offset": raw.storage_offset(), "dtype": raw.dtype, "device": torch.device(NAME, 0)}
        return torch.Tensor._make_wrapper_subclass(cls, raw.shape, **where)

    def __init__(self, raw: torch.Tensor) -> None:
        if type(raw) is not torch.Tensor or raw.device.type != "cpu":
            raise TypeError(f"a {type(raw).__name__} of {raw.device} cannot be wrapped")
        self.raw = raw

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})

    def __getitem__(self, index):
        return super().__getitem__(without_lists(index))

    def __setitem__(self, index, value):
        super().__setitem__(without_lists(index), value)

    def __repr__(self, *, tensor_contents=None):
        return f"{NAME}({self.raw!r})"

    def __reduce_ex__(self, protocol):
        return self.raw.__reduce_ex__(protocol)

    def __array__(self, *args, **kwargs):
        raise TypeError(f"can't convert {NAME} device type tensor to numpy")

    def numpy(self, *, force=False):
        if not force:
            raise TypeError(f"can't convert {NAME} device type tensor to numpy")
        return self.detach().cpu().numpy()

    def tolist(self):
        return self.cpu().tolist()


def without_lists(index: Any) -> Any:
    """Lists among indices as tensors of the host: torch itself makes them below Python, where no wrapper is seen."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(torch.tensor(part) if isinstance(part, (list, tuple, np.ndarray)) else part for part in parts)
    return parts if isinstance(index, tuple) else parts[0]


def made_on_the_host(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """torch.tensor and torch.as_tensor, which move what they made below Python too."""

    def made(data, *args, device=None, requires_grad=False, **kwargs):
        if isinstance(data, torch.Tensor) and make is AS_TENSOR:
            return data.to(device=device or data.device, **kwargs)
        moved = is_believed(device)
        given = {"requires_grad": True} if requires_grad and not moved else {}
        found = make(data, *args, device=None if moved else device, **kwargs, **given)
        return found.to(device).requires_grad_(requires_grad) if moved else found

    return made


AS_TENSOR = torch.as_tensor


def is_believed(device: Any) -> bool:
    return device is not None and torch.device(device).type in (NAME, "privateuseone")


def check(function: Any, args: tuple, kwargs: dict) -> None:
    """Raise where tensors of the host are mixed with the device's in a way that CUDA refuses as well."""
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    strangers = [value for value in tensors if not isinstance(value, Believed) and value.dim() > 0]
    if not strangers or function in COPIES:
        return
    if function in INDEXING and isinstance(args[0], Believed) and (len(args) < 3 or isinstance(args[2], Believed) or args[2].dim() == 0):
        COUNTED["indices from the host"] += 1
        return
    found = ", ".join(f"{value.device.type} {tuple(value.shape)}" for value in tensors)
    raise RuntimeError(f"Expected all tensors to be on the same device, but {function} got {found}")


def count(function: Any, args: tuple) -> None:
    COUNTED["operations"] += 1
    if function in READS:
        COUNTED[READS[function]] += 1
    elif function is aten.index.Tensor and any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1]):
        COUNTED["a size"] += 1


def run(function: Any, args: tuple, kwargs: dict) -> Any:
    """An operation that involves the device, carried out on the host."""
    believed = any(isinstance(value, Believed) for value in tree_flatten((args, kwargs))[0])
    if believed:
        check(function, args, kwargs)
    count(function, args)
    device = kwargs.get("device")
    given = {key: raw_of(value) for key, value in kwargs.items()}
    if is_believed(device):
        given |= {"device": torch.device("cpu")}
    if function is aten.copy_.default and isinstance(args[0], Believed) != isinstance(args[1], Believed):
        COUNTED["to the device" if isinstance(args[0], Believed) else "to the host"] += 1
        raw_of(args[0]).copy_(raw_of(args[1]))
        return args[0]
    if function is aten._to_copy.default and isinstance(args[0], Believed) and device is not None and not is_believed(device):
        COUNTED["to the host"] += 1
        return function(*tree_map(raw_of, args), **given)
    found = tree_map(wrapped, function(*tree_map(raw_of, args), **given))
    if not believed:
        return found
    if function._schema.is_mutable and torch.Tag.inplace_view not in function.tags:
        for value in tree_flatten((args, kwargs))[0]:
            if isinstance(value, Believed) and value.shape != value.raw.shape:
                raise NotImplementedError(f"{function} gives a tensor of the make-believe device another size")
    if function._schema.is_mutable or any(value.alias_info is not None for value in function._schema.returns):
        return return_and_correct_aliasing(function, args, kwargs, found)
    return found


def raw_of(value: Any) -> Any:
    return value.raw if isinstance(value, Believed) else value


def wrapped(value: Any) -> Any:
    return Believed(value) if isinstance(value, torch.Tensor) else value


def register() -> torch.device:
    """Make the device known to torch in this process, for good."""

    class Module(backend_registration._DummyBackendModule):
        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16, torch.float16]

    def fallback(function: Any, *args: Any, **kwargs: Any) -> Any:
        return run(function, args, kwargs)

    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    everything, numbers, autocast = (torch.library.Library(name, "IMPL") for name in ("_", "aten", "_"))
    everything.fallback(fallback, "PrivateUse1")
    autocast.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for overload in GROWN:
        numbers.impl(overload.name().removeprefix("aten::"), lambda *a, overload=overload, **k: run(overload, a, k), "PrivateUse1")
    LIBRARIES.extend((everything, numbers, autocast))
    torch.tensor, torch.as_tensor = made_on_the_host(torch.tensor), made_on_the_host(torch.as_tensor)

    def new_tensor(self, data, dtype=None, device=None, requires_grad=False):
        return torch.tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    torch.Tensor.new_tensor = new_tensor  # type: ignore[method-assign]
    return torch.device(NAME)


def counted_run(photo: Path, out: Path, preset: str, settings: list[str], device: torch.device) -> dict[str, list[Counter[str]]]:
    """A photo through all stages on the device: by stage, what was asked of it between one report of progress and the next."""
    from img23d import config, pipeline
    from img23d.backends.rasterizers import choose_rasterizer
    from img23d.backends.tetrahedra import choose_tetrahedra
    from img23d.stages.context import Context

    asked: dict[str, list[Counter[str]]] = {}

    def told(stage: str, fraction: float, text: str) -> None:
        asked.setdefault(stage, []).append(COUNTED.copy())
        COUNTED.clear()

    COUNTED.clear()
    context = Context(device, choose_rasterizer("auto", device), choose_tetrahedra("auto", device), offline=True)
    pipeline.generate(photo, out, config.load(preset, settings), context=context, report=told)
    return asked


def main(arguments: list[str]) -> int:
    device = register()
    if arguments[:2] == ["-m", "pytest"]:
        import pytest

        return int(pytest.main(arguments[2:]))
    with tempfile.TemporaryDirectory() as out:
        asked = counted_run(Path(arguments[0]), Path(out), "standard", arguments[1:], device)
    kinds = ["operations", "a number", "a size", "to the host", "to the device", "indices from the host"]
    print(f"| stage | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for stage, counts in asked.items():
        print(f"| {stage} | {' | '.join(str(sum(found[kind] for found in counts)) for kind in kinds)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
