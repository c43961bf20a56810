"""The house rules that a machine can check: ranks, size, names, mirrored tests."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "qaudit"
# a package of its own with one rank; its tests are in a folder of its name
REALIGN = ROOT / "realign"
SIZE_CAP = 400
BANNED_NAMES = {"utils", "helpers", "common", "base", "misc", "types", "json", "inspect"}
# ARCHITECTURE: a room imports only rooms of a lower rank; the first match counts
RANKS = {
    "__init__": 7,
    "errors": 0, "findings": 0, "values": 0.2, "weight_values": 0.3, "shipped": 0.5, "files": 0.5, "locks": 0.5, "strict_json": 0.5, "strict_yaml": 0.5, "csv_text": 0.5,
    "processors": 0.5, "version_order": 0.5, "confinement": 0.5, "sandboxed_templates": 0.5,
    "checkpoints": 1, "suites": 1, "judges": 1, "metrics": 1, "policy": 1, "report": 1, "attest": 1,
    "engines": 2, "weights": 2, "releases": 2, "static": 2,
    "probes": 3,
    "realign": 3.5,
    "journal": 4, "lab": 4,
    "auditing": 5,
    "matrix": 5.5,
    "cli": 6, "pytest_plugin": 6, "__main__": 7,
}  # fmt: skip
MODULES = sorted([*PACKAGE.rglob("*.py"), *REALIGN.rglob("*.py")])


def room(module: str) -> str:
    parts = module.split(".")
    if parts[0] == REALIGN.name:
        return parts[0]
    return parts[1] if len(parts) > 1 else "__init__"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "qaudit":
                names.update(f"qaudit.{alias.name}" for alias in node.names if alias.name != "__version__")
            else:
                names.add(node.module)
    return {name for name in names if name.startswith(("qaudit.", "realign."))}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_only_lower_ranks(path: Path) -> None:
    own = room(module_name(path))
    for name in imported(path):
        other = room(name)
        if other == own:
            continue
        assert RANKS[other] < RANKS[own], f"{path} (rank {RANKS[own]}) imports {name} (rank {RANKS[other]})"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_size_and_name(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= SIZE_CAP, f"{path} is over {SIZE_CAP} lines"
    assert path.stem not in BANNED_NAMES, f"{path}: a name that says nothing"


@pytest.mark.parametrize("path", [p for p in MODULES if p.stem != "__init__"], ids=module_name)
def test_has_mirrored_test(path: Path) -> None:
    relative = path.relative_to(ROOT if path.is_relative_to(REALIGN) else PACKAGE)
    if "training" in relative.parts:
        pytest.skip("training scripts are run by hand; their products are tested")
    mirror = ROOT / "tests" / relative.parent / f"test_{relative.name}"
    assert mirror.is_file(), f"{path} has no {mirror.relative_to(ROOT)}"


def test_every_room_has_a_rank() -> None:
    rooms = {room(module_name(path)) for path in MODULES} - {"__init__"}
    assert rooms <= set(RANKS), rooms - set(RANKS)
