"""Is the report that lies in a row's folder the one that an audit would make now?

A report names everything that it rests on: both checkpoints, suites, judge, policy, template and
settings by digest. It is used again only when all of these are what they would be now and the
replies beside it are whole. A served model can change at any time, so its rows are never skipped
(their journals still spare them questions).
"""

from dataclasses import dataclass, replace

from qaudit import __version__
from qaudit.auditing.case import prepare
from qaudit.auditing.options import AuditOptions
from qaudit.auditing.outputs import PAGES, REPORT
from qaudit.checkpoints.served import is_served
from qaudit.errors import InputError
from qaudit.files import sha256_file
from qaudit.report import json_report
from qaudit.report.json_report import RESPONSES
from qaudit.values import Report, Settings


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a report rests on; how many threads it took is no part of it."""

    version: str
    checkpoints: tuple[str, str]
    suites: tuple[tuple[str, str, int], ...]
    judge: str
    policy: str
    settings: Settings | None


def reusable_report(checkpoint: str, reference: str, options: AuditOptions) -> Report | None:
    """Return the report in the audit's folder if an audit now would rest on the same; else None.

    Raises:
        QauditError: a checkpoint, suite or policy cannot be read; an audit would say the same.
    """
    folder = options.out
    if folder is None or is_served(checkpoint) or is_served(reference):
        return None
    if not all((folder / name).is_file() for name in (REPORT, RESPONSES, *PAGES)):
        return None
    try:
        report = json_report.load(folder / REPORT)
        if sha256_file(folder / RESPONSES) != report.evidence.responses.sha256:
            return None
    except InputError:
        # cut short, or of another qaudit: no report
        return None
    return report if _basis_of(report) == _basis_now(checkpoint, reference, options) else None


def _basis_of(report: Report) -> _Basis:
    return _Basis(
        report.tool.version,
        (report.checkpoint.sha256, report.reference.sha256),
        tuple((s.name, s.sha256, s.items) for s in report.suites),
        report.judge.sha256,
        report.verdict.policy.sha256,
        report.settings,
    )


def _basis_now(checkpoint: str, reference: str, options: AuditOptions) -> _Basis:
    case = prepare(checkpoint, reference, replace(options, out=None))
    return _Basis(
        __version__,
        (case.candidate.info.sha256, case.reference.info.sha256),
        # a limit chooses the same items from the same suite, so their number tells it
        tuple((s.name, s.sha256, len(s.items)) for s in case.suites),
        case.judge.sha256,
        case.policy.reference.sha256,
        case.settings,
    )
