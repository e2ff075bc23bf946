"""``img23d doctor`` and its probes: ready means that the function img23d calls can be reached, and missing costs no import."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import replace
from typing import Any

import pytest

from img23d.backends import doctor
from img23d.backends.doctor import LIBRARIES, Library, NothingToRunOn, probe


def pretended(function: str, **options: Any) -> Library:
    return Library("Pretended", "pretended", function, "nothing", "MIT", "pip install pretended", **options)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A library that can be imported."""
    made = types.ModuleType("pretended")
    made.__spec__ = types.SimpleNamespace(name="pretended")  # type: ignore[assignment]
    made.work = lambda: 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pretended", made)
    return made


def test_a_library_whose_function_is_there_is_ready(module: types.ModuleType) -> None:
    found = probe(pretended("pretended:work", check=lambda work: f"{work()} cores"))
    assert (found.state, found.detail, found.version) == ("ready", "3 cores", "")


def test_a_missing_library_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"imported {name}"))
    assert probe(pretended("absolutely_not_there.deep:work")).state == "missing"


def test_a_placeholder_without_the_function_is_broken(module: types.ModuleType) -> None:
    found = probe(pretended("pretended:march", hint="uninstall it"))
    assert found.state == "broken" and "march" in found.detail and found.detail.endswith("; uninstall it")


@pytest.mark.parametrize("error", [OSError("libusb-1.0.so.0: cannot open"), SystemExit(1), RuntimeError("\nfirst\nsecond")])
def test_a_library_that_fails_on_use_is_broken(module: types.ModuleType, error: BaseException) -> None:
    def check(_: Any) -> str:
        raise error

    found = probe(pretended("pretended:work", check=check))
    assert found.state == "broken" and type(error).__name__ in found.detail and "\n" not in found.detail


def test_a_library_without_its_device_is_idle(module: types.ModuleType) -> None:
    def check(_: Any) -> str:
        raise NothingToRunOn("needs a CUDA device")

    found = probe(pretended("pretended:work", check=check))
    assert (found.state, found.detail) == ("idle", "needs a CUDA device")


def test_kaolins_probe_marches_a_tetrahedron() -> None:
    """The check that Kaolin's function must pass, given a stand-in that is right and one that is not."""
    import torch

    from img23d.ops.march import marching_tetrahedra

    def right(vertices: Any, tets: Any, signed: Any) -> Any:
        points, faces, _ = marching_tetrahedra(vertices[0], tets, signed[0])
        return [points], [faces]

    kaolin = next(library for library in LIBRARIES if library.name == "Kaolin")
    assert kaolin.check is not None and kaolin.check(right) == ""
    with pytest.raises(RuntimeError, match="0 triangles"):
        kaolin.check(lambda *_: ([None], [torch.zeros(0, 3)]))


def test_every_library_says_all_that_the_table_shows() -> None:
    assert len({library.name for library in LIBRARIES}) == len(LIBRARIES)
    for library in LIBRARIES:
        assert library.role and library.licence and library.install and ":" in library.function
    assert "research" in next(library for library in LIBRARIES if library.name == "nvdiffrast").licence
    free = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause"}
    assert {library.licence for library in LIBRARIES if library.required} <= free, "nothing that is required may restrict the user"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, module: types.ModuleType) -> None:
    """Three libraries: one ready, one broken, one missing."""
    ready = pretended("pretended:work", required=True, check=lambda work: "3 cores")
    broken = replace(ready, name="Broken", function="pretended:gone", required=False, check=None)
    missing = replace(ready, name="Missing", function="absolutely_not_there:x", required=False, install="pip install it")
    monkeypatch.setattr(doctor, "LIBRARIES", (ready, broken, missing))


@pytest.mark.usefixtures("few")
def test_the_table_says_how_to_get_what_is_missing(run: Any) -> None:
    result = run("doctor")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert "ready" in rows["Pretended"] and rows["Pretended"].endswith("3 cores")
    assert "missing" in rows["Missing"] and rows["Missing"].endswith("pip install it")
    assert "broken" in rows["Broken"] and "AttributeError" in rows["Broken"]
    assert rows["img23d"].startswith("img23d 0") and "cores" in rows["img23d"]


@pytest.mark.usefixtures("few")
def test_json_holds_the_same(run: Any) -> None:
    content = json.loads(run("doctor", "--json").stdout)
    assert [library["state"] for library in content["libraries"]] == ["ready", "broken", "missing"]
    assert content["libraries"][2]["install"] == "pip install it" and content["python"].startswith("3.")


def test_a_required_library_that_is_lost_is_an_error(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = pretended("absolutely_not_there:x", required=True)
    monkeypatch.setattr(doctor, "LIBRARIES", (lost,))
    result = run("doctor")
    assert result.exit_code == 4
    assert "error: img23d cannot run without Pretended\ntry: pip install pretended\n" in result.stderr


def test_what_img23d_depends_on_is_really_there() -> None:
    states = {library.name: probe(library) for library in LIBRARIES if library.required}
    assert {name: found.state for name, found in states.items()} == dict.fromkeys(states, "ready")
    assert all(found.version for found in states.values())
