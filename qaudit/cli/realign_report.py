"""The audit of the failing checkpoint that somebody has already: used again where it asked the same."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qaudit.auditing.defaults import default_suites
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.cli.realign_comparison import Audited
from qaudit.errors import InputError
from qaudit.files import sha256_file
from qaudit.report import json_report
from qaudit.report.json_report import RESPONSES
from qaudit.suites.loading import load_suite
from qaudit.values import Report


def require_reusable(path: Path, reference: str | Path, suites: Sequence[str]) -> None:
    """Check before hours of work that the table at their end can have this report in it.

    Args:
        path: report.json.
        reference: of the realignment.
        suites: that the audits will ask, by name or folder; empty for the default ones.

    Raises:
        InputError: it asked other suites, or the replies beside it are not those that it rests on.
    """
    report = json_report.load(path)
    wanted = [load_suite(name) for name in suites or default_suites(open_checkpoint(reference))]
    asked = {(suite.name, suite.sha256, suite.items) for suite in report.suites}
    ours = {(suite.name, suite.sha256, len(suite.items)) for suite in wanted}
    if asked != ours:
        odd = sorted(name for name, *_ in asked ^ ours)[0]
        raise InputError(
            f"{path}: asked other suites, or other items of them, than the audits will ({odd[:80]!a}); give "
            "--suite as for that audit, or leave --report out"
        )
    _replies(path, report)


def given_report(path: Path, inputs: Mapping[str, Any]) -> Audited:
    """Return the report that was given, as an audit of the table.

    Args:
        path: report.json.
        inputs: of `realign.json`.

    Raises:
        InputError: it is of another checkpoint or reference, or the replies beside it are not its own.
    """
    report = json_report.load(path)
    same = (report.checkpoint.sha256, report.reference.sha256) == (
        inputs["checkpoint"]["sha256"],
        inputs["reference"]["sha256"],
    )
    if not same:
        raise InputError(f"{path}: is of another checkpoint or reference; give their own, or none")
    return Audited(report, _replies(path, report), sum(file.size for file in report.checkpoint.files))


def _replies(path: Path, report: Report) -> Path | None:
    """Return the folder of the replies that a report rests on; None where they are not beside it."""
    replies = path.parent / RESPONSES
    if not replies.exists():
        return None
    if sha256_file(replies) != report.evidence.responses.sha256:
        raise InputError(f"{replies}: is not what {path.name} rests on; put its own there, or take it away")
    return path.parent
