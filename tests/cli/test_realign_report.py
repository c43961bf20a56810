"""A report that was given stands in the table only if it asked what the audits ask, and its replies are its own."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sample_report import report

from qaudit.auditing.defaults import DEFAULT_SUITES
from qaudit.cli.realign_report import given_report, require_reusable
from qaudit.errors import InputError
from qaudit.files import sha256_bytes
from qaudit.report import json_report
from qaudit.report.json_report import RESPONSES
from qaudit.suites.loading import load_suite
from qaudit.values import Evidence, Report, ResponsesRef, SuiteRef

REPLIES = b'{"suite": "lab-unseen"}\n'


def refs(names: Sequence[str]) -> tuple[SuiteRef, ...]:
    suites = [load_suite(name) for name in names]
    return tuple(SuiteRef(s.name, s.version, s.sha256, len(s.items)) for s in suites)


def written(folder: Path, suites: tuple[SuiteRef, ...], replies: bytes | None = REPLIES) -> Path:
    evidence = Evidence(ResponsesRef(RESPONSES, sha256_bytes(REPLIES), 1))
    told: Report = replace(report({"hate": 4}), suites=suites, evidence=evidence)
    folder.mkdir(exist_ok=True)
    (folder / "report.json").write_text(json_report.dump(told))
    if replies is not None:
        (folder / RESPONSES).write_bytes(replies)
    return folder / "report.json"


def test_the_same_suites_are_the_same_suites(tmp_path: Path, f16: Path) -> None:
    lab = [f"lab-{name}" for name in DEFAULT_SUITES]
    require_reusable(written(tmp_path / "all", refs(lab)), f16, ())
    some = written(tmp_path / "some", refs(lab[:2]))
    # in any order
    require_reusable(some, f16, [lab[1], lab[0]])


@pytest.mark.parametrize("asked", [(), ("lab-unseen",), ("lab-core", "lab-unseen"), ("unseen", "core")])
def test_others_are_refused_before_any_work(asked: tuple[str, ...], tmp_path: Path, f16: Path) -> None:
    path = written(tmp_path / "r", refs(("lab-core",)))
    with pytest.raises(InputError, match="asked other suites") as caught:
        require_reusable(path, f16, asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"items": 10}, {"sha256": "ab" * 32}])
def test_fewer_or_other_items_are_other_suites(change: dict, tmp_path: Path, f16: Path) -> None:
    (suite,) = refs(("lab-core",))
    path = written(tmp_path / "r", (replace(suite, **change),))
    with pytest.raises(InputError, match="'lab-core'"):
        require_reusable(path, f16, ("lab-core",))


def test_replies_that_are_not_the_reports_are_refused(tmp_path: Path, f16: Path) -> None:
    path = written(tmp_path / "r", refs(("lab-core",)), REPLIES + b"{}\n")
    told = json_report.load(path)
    inputs = {
        "checkpoint": {"sha256": told.checkpoint.sha256},
        "reference": {"sha256": told.reference.sha256},
    }
    with pytest.raises(InputError, match=r"is not what report\.json rests on"):
        require_reusable(path, f16, ("lab-core",))
    with pytest.raises(InputError, match=r"is not what report\.json rests on"):
        given_report(path, inputs)
    (path.parent / RESPONSES).write_bytes(REPLIES)
    assert given_report(path, inputs).folder == path.parent
    # without them the table has the report's own figures
    (path.parent / RESPONSES).unlink()
    require_reusable(path, f16, ("lab-core",))
    assert given_report(path, inputs).folder is None


def test_the_report_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "r", refs(("lab-core",)))
    inputs = {"checkpoint": {"sha256": "ab" * 32}, "reference": {"sha256": "cd" * 32}}
    with pytest.raises(InputError, match="another checkpoint or reference"):
        given_report(path, inputs)
    assert json.loads(path.read_text())["suites"]
