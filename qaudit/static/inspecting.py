"""The whole static look at a download: every file by its kind, the folder as one, and the comparison.

Nothing that a file holds may end the look: what cannot be read is a surface that was skipped, and an
inspector that breaks on a file gives a finding, so that neither is ever taken for a pass.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from qaudit import __version__
from qaudit.findings import SEVERITIES, FileDigest, Finding, Inspection, Severity, Status, Surface, ToolRef
from qaudit.static.comparing import compare
from qaudit.static.facts import facts_of
from qaudit.static.folder_view import FolderView
from qaudit.static.looking import Looked, Progress, look_at
from qaudit.static.surveying import FileOnDisk, survey

__all__ = ["Progress", "inspect_target", "inspect_view"]

DEFAULT_FAIL_ON: Severity = "high"
MOST_FINDINGS = 5000


def inspect_target(
    path: str | Path,
    *,
    reference: str | Path | None = None,
    deep: bool = False,
    fail_on: Severity = DEFAULT_FAIL_ON,
    hash_files: bool = False,
    progress: Progress | None = None,
) -> Inspection:
    """Look at a file or folder, on disk or on a hub, without running or loading anything of it.

    Args:
        path: the target; of `hf://org/repo[@rev][/file]` only what rules read is fetched.
        reference: the model that it was made from, to compare with; as the target.
        deep: read the values of the weights too.
        fail_on: the least severity that makes the status `fail`.
        hash_files: also take the SHA-256 of every file.
        progress: called with the path that is looked at, how many are done and how many there are.

    Raises:
        InputError: a path cannot be read, or is neither file nor folder.
        HubUnreachable: there is no network, or the hub is down.
        EnvironmentProblem: something that is needed is not installed.
    """
    target = _surveyed(path)
    other = None if reference is None else _surveyed(reference)
    seen = inspect_view(
        target.view,
        target.name,
        reference=other.view if other else None,
        reference_name=other.name if other else None,
        deep=deep,
        fail_on=fail_on,
        hash_files=hash_files,
        progress=progress,
    )
    if target.fetched is None:
        return seen
    return replace(seen, facts=seen.facts | {"fetched_bytes": str(target.fetched())})


@dataclass(frozen=True, slots=True)
class _Surveyed:
    """A target: its files, its name for the report, and of a hub how many bytes were fetched so far."""

    view: FolderView
    name: str
    fetched: Callable[[], int] | None = None


def _surveyed(path: str | Path) -> _Surveyed:
    # the hub's reading brings pydantic: not for a path on disk
    if not str(path).startswith("hf:"):
        return _Surveyed(survey(Path(path)), str(path))
    from qaudit.checkpoints.hub_spec import hub_text, parse_hub_spec

    text = hub_text(path)
    if text is None:
        return _Surveyed(survey(Path(path)), str(path))
    from qaudit.static.hub_surveying import survey_hub

    download = survey_hub(parse_hub_spec(text))
    return _Surveyed(download.view, str(download.spec), lambda: download.ranges.fetched)


def inspect_view(
    view: FolderView,
    target: str,
    *,
    reference: FolderView | None = None,
    reference_name: str | None = None,
    deep: bool = False,
    fail_on: Severity = DEFAULT_FAIL_ON,
    hash_files: bool = False,
    progress: Progress | None = None,
) -> Inspection:
    """Look at a download that was listed already, on disk or on a hub; see `inspect_target`.

    Args:
        view: the files.
        target: what was named, for the report; with the commit for a hub.
        reference: the files of the model that it was made from.
        reference_name: its name for the report; None for the view's.
        deep: read the values of the weights too.
        fail_on: the least severity that makes the status `fail`.
        hash_files: also take the SHA-256 of every file; those that a hub lists are taken from it.
        progress: called with the path that is looked at, how many are done and how many there are.

    Raises:
        EnvironmentProblem: a hub no longer answers, or something that is needed is not installed.
    """
    started = time.monotonic()
    looked = look_at(view, deep=deep, progress=progress)
    if reference is not None:
        against = look_at(reference, parts_only=True, progress=progress)
        compared = compare(looked.models, against.models, reference.name)
        looked.findings += compared.findings
        looked.surfaces += compared.surfaces
    files: tuple[FileDigest, ...] = ()
    if hash_files:
        from qaudit.static.hashing import hash_all  # thread pools cost a tenth of our start

        files = hash_all(view.entries, looked.surfaces, progress)
    looked.surfaces += _changed_meanwhile(view)
    return _concluded(
        looked,
        files,
        duration_s=round(time.monotonic() - started, 3),
        target=target,
        fail_on=fail_on,
        reference=None if reference is None else reference_name or reference.name,
        facts={"kind": "file" if view.single else "folder"}
        | facts_of(view, looked.models, tokenizers=hash_files),
    )


def status_of(findings: Sequence[Finding], surfaces: Sequence[Surface], fail_on: Severity) -> Status:
    """Return the answer; what was not examined and could hold something is never a pass."""
    least = SEVERITIES.index(fail_on)
    if any(SEVERITIES.index(finding.severity) >= least for finding in findings):
        return "fail"
    return "inconclusive" if any(surface.is_open for surface in surfaces) else "pass"


def _changed_meanwhile(view: FolderView) -> list[Surface]:
    """Return the files that somebody wrote to during the look: what was seen may be gone by now."""
    return [
        Surface(entry.path, entry.kind, "partial", "changed while it was looked at; inspect a copy")
        for entry in view.entries
        if isinstance(entry.open, FileOnDisk) and not entry.open.unchanged
    ]


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings without repetitions, the gravest first, then by place."""
    once = dict.fromkeys(findings)
    return sorted(once, key=lambda f: (-SEVERITIES.index(f.severity), f.location, f.id))


def _concluded(
    looked: Looked,
    files: tuple[FileDigest, ...],
    *,
    duration_s: float,
    target: str,
    fail_on: Severity,
    reference: str | None,
    facts: dict[str, str],
) -> Inspection:
    findings = worst_first(looked.findings)
    surfaces = sorted(dict.fromkeys(looked.surfaces), key=lambda surface: (surface.path, surface.kind))
    if len(findings) > MOST_FINDINGS:
        why = f"{len(findings)} findings; only the gravest {MOST_FINDINGS} are told"
        surfaces.append(Surface(target, "findings", "partial", why))
    return Inspection(
        tool=ToolRef("qaudit", __version__),
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=duration_s,
        target=target,
        status=status_of(findings, surfaces, fail_on),
        fail_on=fail_on,
        findings=tuple(findings[:MOST_FINDINGS]),
        surfaces=tuple(surfaces),
        files=files,
        reference=reference,
        facts=facts,
    )
