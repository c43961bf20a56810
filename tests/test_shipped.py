from pathlib import Path

import pytest
from qaudit import shipped as module
from qaudit.errors import EnvironmentProblem
from qaudit.shipped import shipped


def test_suites_and_policies_are_there() -> None:
    assert (shipped("suites") / "core" / "suite.yaml").is_file()
    assert (shipped("policies") / "default.yaml").is_file()


def test_a_wheel_keeps_them_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "qaudit" / "_shipped" / "suites"
    inside.mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "qaudit" / "shipped.py"))
    assert shipped("suites") == inside.resolve()
    with pytest.raises(EnvironmentProblem, match="install qaudit again"):
        shipped("policies")
