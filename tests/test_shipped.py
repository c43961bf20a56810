from pathlib import Path

import pytest

from qaudit import shipped as module
from qaudit.errors import EnvironmentProblem, InputError
from qaudit.shipped import shipped, shipped_names, shipped_or_file


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with nothing around it."""
    package = tmp_path / "qaudit"
    package.mkdir()
    monkeypatch.setattr(module, "__file__", str(package / "shipped.py"))
    return package.resolve()


def test_suites_and_policies_are_there() -> None:
    assert (shipped("suites") / "core" / "suite.yaml").is_file()
    assert (shipped("policies") / "default.yaml").is_file()


def test_a_wheel_keeps_them_inside_the_package(elsewhere: Path) -> None:
    for kind in ("suites", "policies"):
        (elsewhere / "_shipped" / kind).mkdir(parents=True)
        # what lies beside the package in site-packages is somebody else's
        (elsewhere.parent / kind).mkdir()
        assert shipped(kind) == elsewhere / "_shipped" / kind


def test_a_checkout_keeps_them_at_its_top(elsewhere: Path) -> None:
    (elsewhere.parent / "policies").mkdir()
    assert shipped("policies") == elsewhere.parent / "policies"


def test_an_incomplete_installation_says_so(elsewhere: Path) -> None:
    (elsewhere.parent / "suites").write_text("a file, not a folder")
    with pytest.raises(EnvironmentProblem, match="the shipped suites are missing; install qaudit again"):
        shipped("suites")


def test_a_bare_name_is_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped_or_file("policies", "default") == shipped_names("policies")["default"]
    for none in ("house", "house.yaml", "./default", "x\0", "x" * 5000):
        assert shipped_or_file("policies", none) is None


def test_a_planted_file_is_never_taken_for_what_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("default", "house", "house.yaml"):
        (tmp_path / name).write_text("verdicts: [pass, fail, inconclusive]")
    for bare in ("default", "house"):
        with pytest.raises(InputError, match=rf"write \./{bare} for the file"):
            shipped_or_file("policies", bare)
        assert shipped_or_file("policies", f"./{bare}") == Path(bare)
        assert shipped_or_file("policies", str(tmp_path / bare)) == tmp_path / bare
    assert shipped_or_file("policies", "house.yaml") == Path("house.yaml")
