import dataclasses
import subprocess
import sys

import pytest

from qaudit import findings, values
from qaudit.findings import OPTIONAL_SURFACES, SEVERITIES, Finding, Surface


def test_they_are_the_same_values_as_those_of_an_audit() -> None:
    for name in (
        "SEVERITIES",
        "FileDigest",
        "Finding",
        "Inspection",
        "Severity",
        "Status",
        "Surface",
        "ToolRef",
    ):
        assert getattr(values, name) is getattr(findings, name)


def test_severities_are_in_order() -> None:
    assert SEVERITIES == ("info", "low", "medium", "high", "critical")


@pytest.mark.parametrize("state", ["partial", "skipped", "absent"])
def test_what_was_not_examined_is_open_unless_nobody_needs_it(state: object) -> None:
    assert Surface("p", "archive", state, "w").is_open  # type: ignore[arg-type]
    for kind in OPTIONAL_SURFACES:
        assert not Surface("p", kind, state, "w").is_open  # type: ignore[arg-type]
    assert not Surface("p", "archive", "examined").is_open


def test_a_finding_is_frozen_and_has_a_hash() -> None:
    finding = Finding("f/x", "low", "T", "L", "E", "R")
    assert len({finding, dataclasses.replace(finding)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.id = "other"  # type: ignore[misc]


def test_the_static_look_does_not_make_the_classes_of_an_audit() -> None:
    code = "import sys, qaudit.static.inspecting; print('qaudit.values' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
