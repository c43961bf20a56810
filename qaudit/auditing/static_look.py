"""The static rules within an audit: what the candidate's files hold, and how they differ from its reference.

The same rules as `qaudit inspect`. Their findings stand in the report beside those of the behaviour, and the
policy judges them together; what could not be looked at is a note.
"""

from collections.abc import Sequence
from pathlib import Path

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.static.comparing import compare
from qaudit.static.inspecting import worst_first
from qaudit.static.looking import Looked, look_at
from qaudit.static.surveying import survey
from qaudit.values import SEVERITIES, Finding, Report, Surface

# the report names the first of these; `qaudit inspect` names all
MOST_NOTES = 10
MOST_FINDINGS = 1000
# below this a finding of the static rules moves no gate, and is not looked for again when somebody signs
GATING = SEVERITIES.index("high")


def look_at_files(
    candidate: Checkpoint, reference: Checkpoint
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return the findings, the gravest first, and notes on what was not looked at.

    Args:
        candidate: what is audited; of a served model there are no files.
        reference: what it is compared with, where it has files.

    Raises:
        InputError: the files are gone.
        EnvironmentProblem: the process that looks at templates cannot be started.
    """
    if candidate.format == "endpoint":
        return (), ("static rules: a served model shows no files, so none were looked at",)
    looked = look_at(survey(candidate.path))
    notes = []
    if reference.format == "endpoint":
        notes.append(
            "static rules: the reference is served, so the candidate's files were compared with none"
        )
    else:
        _compare(looked, candidate.path, reference.path)
    findings = worst_first(looked.findings)
    if len(findings) > MOST_FINDINGS:
        notes.append(f"static rules: {len(findings)} findings, of which the gravest {MOST_FINDINGS} are told")
    return tuple(findings[:MOST_FINDINGS]), (*notes, *_not_examined(looked.surfaces))


def finding_left_out(path: Path, report: Report) -> Finding | None:
    """Return a finding on a checkpoint's own files that would move a gate and that its report does not have.

    What comes of the comparison with the reference, which need not be here, is not looked for.

    Raises:
        InputError: the files cannot be read.
    """
    told = {finding.id for finding in report.findings}
    return next(
        (
            finding
            for finding in worst_first(look_at(survey(path)).findings)
            if SEVERITIES.index(finding.severity) >= GATING and finding.id not in told
        ),
        None,
    )


def _compare(looked: Looked, candidate: Path, reference: Path) -> None:
    # a template or tokenizer that differs makes one finding more here, with what differs in it
    against = look_at(survey(reference), parts_only=True)
    compared = compare(looked.models, against.models, reference.name)
    looked.findings += compared.findings
    looked.surfaces += compared.surfaces


def _not_examined(surfaces: Sequence[Surface]) -> list[str]:
    left = [surface for surface in surfaces if surface.is_open]
    notes = [
        f"static rules: {surface.path} ({surface.kind}) is {surface.state}: {surface.why}"
        for surface in left[:MOST_NOTES]
    ]
    if len(left) > MOST_NOTES:
        notes.append(
            f"static rules: {len(left) - MOST_NOTES} more parts were not examined; see qaudit inspect"
        )
    return notes
