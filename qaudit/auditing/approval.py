"""`qaudit.sign`: sign a checkpoint with its audit, after the report was checked against itself."""

from pathlib import Path
from typing import Any

from qaudit.attest.signing import Signed
from qaudit.attest.signing import sign as seal
from qaudit.auditing.rechecking import refuse_changed_report


def sign(path: Path | str, *, report: Path | str, **options: Any) -> Signed:  # noqa: ANN401
    """Sign a checkpoint with its audit report and policy, as `qaudit sign` does.

    Args:
        path: the checkpoint, a file or a folder.
        report: the `report.json` of its audit, best in the folder that the audit left: without
            `responses.jsonl` beside it its figures cannot be counted again (`Signed.recounted`).
        options: those of `qaudit.attest.sign`, `recheck` excepted.

    Raises:
        GateFailure: the verdict is not pass, the report was changed after the audit, or report, policy
            and files do not belong together.
        InputError: something given is unusable.
        OutputProblem: the result cannot be written; nothing is left behind.
    """
    return seal(path, report=report, recheck=refuse_changed_report, **options)
