"""The rules that keep the code one piece: imports point one way, heavy libraries stay in one folder, files stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "img23d"
FILES = sorted(SOURCE.rglob("*.py"))

# A module may import modules of its own rank's part, and of lower ranks.
RANKS = {
    "errors": 0, "__init__": 0,
    "options": 1,
    "diffusion_options": 2,
    "failures": 3, "config": 3, "run": 3, "weights": 3,
    "scene": 4,
    "ops": 5, "io": 5,
    "fields": 6, "priors": 6, "scores": 6, "backends": 6,
    "stages": 7, "evals": 7, "training": 7,
    "record": 8, "pipeline": 9, "refinement": 10, "batch": 10, "convert": 10,
    "cli": 11, "__main__": 12,
}  # fmt: skip
# Parts of one rank that may import each other; all other equals may not.
FRIENDS = {("io", "fields"), ("scores", "fields"), ("io", "ops"), ("priors", "backends")}
HEAVY = {"kaolin", "nvdiffrast", "open3d", "rembg", "onnxruntime", "diffusers", "transformers", "accelerate", "gsplat"}
TORCH_FREE = ("errors", "options", "diffusion_options", "failures", "config", "run", "weights", "cli", "batch", "__main__", "__init__")
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "core", "misc"}
LINES_OF_FILE, LINES_OF_FUNCTION = 300, 60


def part_of(path: Path) -> str:
    """The folder or file directly below the package that a module belongs to."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Dotted names that are imported, wherever it stands; `from img23d import run` counts as img23d.run."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            module = node.module or ""
            yield from ((f"{module}.{alias.name}" if module == "img23d" else module, node) for alias in node.names)


def type_checking_lines(tree: ast.AST) -> set[int]:
    """Lines below `if TYPE_CHECKING:`, which never run."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {line for block in blocks for line in range(block.lineno, (block.end_lineno or block.lineno) + 1)}


def eager_imports(tree: ast.Module) -> set[str]:
    """First parts of the names that are imported as soon as the module is."""
    late = type_checking_lines(tree) | lines_in_functions(tree)
    return {name.partition(".")[0] for name, node in imported(tree) if node.lineno not in late}


def import_mistake(part: str, name: str) -> str:
    """Empty, or why ``part`` may not import ``name``."""
    head, _, rest = name.partition(".")
    if head != "img23d" or not rest:
        return ""
    other = rest.partition(".")[0]
    if other not in RANKS:  # a name that img23d/__init__.py defines
        return "" if other.startswith("__") else f"{other} has no rank"
    if part == other or (part, other) in FRIENDS or RANKS[other] < RANKS[part]:
        return ""
    return f"{part} may not import {other}"


def mistakes(check: Callable[[Path, ast.Module], Iterable[str]], parts: Iterable[str] = RANKS) -> list[str]:
    """What a rule finds in all files of these parts, each with its file's name."""
    chosen = [path for path in FILES if part_of(path) in parts]
    return [f"{path.relative_to(SOURCE).as_posix()}: {found}" for path in chosen for found in check(path, tree_of(path))]


def lines_in_functions(tree: ast.Module) -> set[int]:
    """Lines that run only when a function is called."""
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))]
    return {line for node in functions for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def test_every_part_has_a_rank() -> None:
    assert {part_of(path) for path in FILES} <= set(RANKS)


def test_imports_point_one_way() -> None:
    def check(path: Path, tree: ast.Module) -> Iterator[str]:
        for name, node in imported(tree):
            if why := import_mistake(part_of(path), name):
                yield f"line {node.lineno}: {why}"

    assert not mistakes(check)


def test_the_direction_is_really_checked() -> None:
    assert import_mistake("ops", "img23d.stages.fit") == "ops may not import stages"
    assert import_mistake("errors", "img23d.config") == "errors may not import config"
    assert import_mistake("stages", "img23d.evals") == "stages may not import evals"
    assert import_mistake("backends", "img23d.priors") == "backends may not import priors"
    assert import_mistake("stages", "img23d.ops.neus") == ""
    assert import_mistake("ops", "img23d.unheard") == "unheard has no rank"


def test_heavy_libraries_are_imported_in_backends_on_use() -> None:
    def check(path: Path, tree: ast.Module) -> Iterator[str]:
        for name, node in imported(tree):
            library = name.partition(".")[0]
            if library in HEAVY and (part_of(path) != "backends" or library in eager_imports(tree)):
                yield f"line {node.lineno}: {library}"

    assert not mistakes(check)


def test_nothing_slow_is_imported_before_it_is_needed() -> None:
    slow = {"torch", "numpy", "scipy", "numba", "PIL", "rich", "omegaconf", "yaml", "trimesh", "safetensors", "xatlas"}
    assert not mistakes(lambda path, tree: sorted(eager_imports(tree) & slow), TORCH_FREE)


def test_the_command_line_loads_no_torch() -> None:
    """The rule above, run: importing what a typo passes through loads neither torch nor numpy."""
    code = "import img23d.cli, img23d.batch, img23d.config, img23d.run, sys; print(*sorted({n.split('.')[0] for n in sys.modules}))"
    loaded = set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert not loaded & {"torch", "numpy", "scipy", "numba", "PIL", "rich", "omegaconf", "trimesh"}
    assert {"typer", "img23d"} <= loaded


def test_only_the_command_line_prints() -> None:
    def check(path: Path, tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "pprint", "sys.stdout.write", "sys.stderr.write"):
                yield f"line {node.lineno}: {ast.unparse(node.func)}"

    assert not mistakes(check, set(RANKS) - {"cli"})


def test_only_batches_and_the_edge_of_the_program_catch_everything() -> None:
    allowed = {"batch/workers.py", "cli/boundary.py"}

    def check(path: Path, tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler) or path.relative_to(SOURCE).as_posix() in allowed:
                continue
            caught = {"everything"} if node.type is None else {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            raised_again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if caught & {"everything", "Exception", "BaseException"} and not raised_again:
                yield f"line {node.lineno}: catches {', '.join(caught)}"

    assert not mistakes(check)


def test_files_and_functions_are_short() -> None:
    def check(path: Path, tree: ast.Module) -> Iterator[str]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LINES_OF_FILE:
            yield f"{lines} lines"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and (length := (node.end_lineno or 0) - node.lineno + 1) > LINES_OF_FUNCTION:
                yield f"{node.name} has {length} lines"

    assert not mistakes(check)


def test_names_say_what_is_inside() -> None:
    assert not mistakes(lambda path, tree: FORBIDDEN_NAMES & set(path.relative_to(SOURCE).with_suffix("").parts))


def test_every_module_says_what_it_is_for() -> None:
    assert not mistakes(lambda path, tree: [] if ast.get_docstring(tree) else ["no docstring"])


def test_the_environment_is_not_read_at_import() -> None:
    def check(path: Path, tree: ast.Module) -> Iterator[str]:
        late = lines_in_functions(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv") and node.lineno not in late:
                yield f"line {node.lineno}"

    assert not mistakes(check)
