"""`qaudit.sign`: sign a checkpoint with its audit, after the report was checked against itself."""

from functools import partial
from pathlib import Path
from typing import Any

from qaudit import __version__
from qaudit.attest.signing import Signed
from qaudit.attest.signing import sign as seal
from qaudit.auditing.rechecking import refuse_changed_report
from qaudit.auditing.static_look import finding_left_out
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.errors import GateFailure, QauditError
from qaudit.report.json_report import parse_report
from qaudit.values import Report


def sign(
    path: Path | str,
    *,
    report: Path | str,
    calibration: Path | str | None = None,
    **options: Any,  # noqa: ANN401 - those of qaudit.attest.sign
) -> Signed:
    """Sign a checkpoint with its audit report and policy, as `qaudit sign` does.

    Args:
        path: the checkpoint, a file or a folder.
        report: the `report.json` of its audit, best in the folder that the audit left: without
            `responses.jsonl` beside it its figures cannot be counted again (`Signed.recounted`).
        calibration: the RTSI calibration of the audit, where that had one of its own.
        options: those of `qaudit.attest.sign`, `recheck` excepted.

    Raises:
        GateFailure: the verdict is not pass, the report was changed after the audit, or report, policy
            and files do not belong together.
        InputError: something given is unusable.
        OutputProblem: the result cannot be written; nothing is left behind.
    """
    recheck = partial(_recheck, Path(path), None if calibration is None else Path(calibration))
    return seal(path, report=report, recheck=recheck, **options)


def _recheck(path: Path, calibration: Path | None, report: bytes, policy: bytes, where: Path) -> str | None:
    why_not = refuse_changed_report(report, policy, where, calibration)
    told = parse_report(report, where)
    if _refuse_other_description(path, told, where):
        _refuse_left_out_finding(path, told, where)
    return why_not


def _refuse_other_description(path: Path, report: Report, where: Path) -> bool:
    """Refuse a report that calls the checkpoint something else than its own header does.

    Which bytes they are is the gate's to compare; what cannot be opened says nothing of itself.

    Returns:
        Whether it could be opened.
    """
    try:
        found = open_checkpoint(path)
    except QauditError:
        return False
    for what in ("format", "quantization", "architecture", "parameters"):
        said, is_so = getattr(report.checkpoint, what), getattr(found, what)
        if said != is_so:
            raise GateFailure(
                f"{where}: says that the {what} of {path} is {ascii(said)[:80]}, and its header says"
                f" {ascii(is_so)[:80]}; the report was changed after the audit, or is of another checkpoint:"
                " audit again"
            )
    return True


def _refuse_left_out_finding(path: Path, report: Report, where: Path) -> None:
    """Refuse a report without a grave finding that the static rules make of the checkpoint's own files.

    Another version of qaudit has other rules: a report of one is not held to ours.
    """
    if report.tool.version != __version__:
        return
    finding = finding_left_out(path, report)
    if finding is not None:
        raise GateFailure(
            f"{where}: the files of {path} make the finding {finding.id} ({finding.severity}) at"
            f" {finding.location}, and it is not there; it was changed after the audit, or that was made of"
            " another checkpoint: audit again"
        )
