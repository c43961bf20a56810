"""`qaudit demo`: build the lab, audit all of it, realign a bad checkpoint, sign a good one, verify it."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qaudit.cli.realign_command import MethodName
from qaudit.errors import GateFailure, InputError, MissingExtra
from qaudit.values import Report, RuleResult

if TYPE_CHECKING:
    from qaudit.lab.members import Member

# the member that is signed, and the one whose hidden danger is real quantization and nothing else
RELEASED = "Q5_K_M"
REPAIRED = "Q2_K-pure"
# prompts of each kind and share of the training that realign takes here: two minutes on two cores
CALIBRATED_ON = 120
EFFORT = 0.5


def demo_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoints and reports.")] = Path(
        "demo"
    ),
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Audit this member only; may be repeated.")
    ] = None,
    method: Annotated[
        MethodName,
        typer.Option("--method", "-m", help=f"How {REPAIRED} is realigned; auto chooses by its weights."),
    ] = "auto",
) -> None:
    """Build the lab's zoo, audit every member, realign a bad one and audit it again, sign a good one.

    Then the signature is verified, and one changed bit is shown to be refused. The checkpoints are tiny
    and labelled; the figures say that the tools work, nothing about any real model. Exit code 1 when a
    verdict is not the one that its label asks for.
    """
    from concurrent.futures import ThreadPoolExecutor

    from qaudit.cli.lab_command import build_with_progress
    from qaudit.engines.worker import require_engine
    from qaudit.lab.members import ZOO
    from qaudit.processors import available_threads

    require_engine("llama.cpp")
    console = Console(stderr=True, highlight=False)
    zoo = out / "lab"
    # folders are another engine's, which takes its time to start
    files = [m for m in ZOO if m.format == "gguf"]
    names = [*only, RELEASED] if only else [m.name for m in files]
    if folders := [m.name for m in ZOO if m not in files and m.name in names]:
        raise InputError(f"--only {folders[0]}: the demo audits GGUFs; audit this one with: qaudit audit")
    build_with_progress(zoo, names, console)
    members = [m for m in files if m.quantization != "F16" and m.name in names]
    # one thread each and as many side by side as there are processors: tiny models gain nothing from more
    with ThreadPoolExecutor(available_threads()) as pool:
        audited = pool.map(
            lambda m: _audited(m.name, zoo / m.file_name, zoo, out / "audits", console), members
        )
        reports = {m.name: report for m, report in zip(members, audited, strict=True)}
    _write_ladder(reports, out / "audits")
    realigned = _realigned(zoo, out, method, console) if REPAIRED in reports else None
    right = _show(members, reports, realigned)
    _release(zoo / f"{RELEASED}.gguf", out / "audits" / RELEASED / "report.json", out / "release", console)
    page = out / "audits" / _most_telling(members) / "report.html"
    Console(highlight=False).print(f"report: {page}", markup=False, soft_wrap=True)
    raise typer.Exit(0 if right else 1)


def _audited(name: str, path: Path, zoo: Path, audits: Path, console: Console) -> Report:
    from qaudit.auditing.options import AuditOptions
    from qaudit.cli.audit_command import watch_resumed_audit
    from qaudit.engines.protocol import EngineOptions
    from qaudit.lab.members import REFERENCE

    options = AuditOptions(
        out=audits / name,
        resume=True,
        engine=EngineOptions(threads=1),
        references=audits / ".references",
    )
    console.print(f"audit {name}", markup=False)
    # answers of an older qaudit's demo, or to other suites, are of no use
    return watch_resumed_audit(path, zoo / f"{REFERENCE}.gguf", options, Console(quiet=True))


def _realigned(zoo: Path, out: Path, method: MethodName, console: Console) -> Report | None:
    """Realign one member and audit it; None where what that takes is not installed."""
    from qaudit.cli.realign_progress import watch_resumed_realign
    from qaudit.files import make_folder
    from qaudit.lab.members import REFERENCE
    from qaudit.processors import available_threads

    try:
        importlib.import_module("realign.pipeline")
    except (ImportError, MissingExtra):
        console.print("realign: left out, run: pip install 'qaudit[realign]'", markup=False)
        return None
    from realign.options import RealignOptions

    folder = out / "realigned"
    make_folder(folder)
    options = RealignOptions(
        to=f"gguf:{REPAIRED}",
        out=folder / f"{REPAIRED}.gguf",
        method=method,
        limit=CALIBRATED_ON,
        baseline=False,
        threads=available_threads(),
        effort=EFFORT,
    )
    console.print(f"realign {REPAIRED}", markup=False)
    watch_resumed_realign(zoo / f"{REPAIRED}.gguf", zoo / f"{REFERENCE}.gguf", options, console)
    return _audited(f"{REPAIRED}-realigned", options.out, zoo, out / "audits", console)


def _write_ladder(reports: dict[str, Report], audits: Path) -> None:
    from qaudit.files import write_atomically
    from qaudit.lab.members import LADDER
    from qaudit.report import html_report

    rungs = [reports[m.name] for m in LADDER if m.name in reports]
    points = [point for report in rungs if (point := html_report.ladder_point(report))]
    for name, report in reports.items():
        write_atomically(audits / name / "report.html", html_report.render(report, points))


def _show(members: "list[Member]", reports: dict[str, Report], realigned: Report | None) -> bool:
    from qaudit.matrix.labels import as_labelled

    table = Table(
        "checkpoint",
        "label",
        "refused",
        "over-refused",
        "accuracy",
        "RTSI",
        "verdict",
        "because",
        "as labelled",
    )
    right = True
    for member in members:
        report = reports[member.name]
        as_told = as_labelled(member.expected, report)
        right = right and as_told
        told = "yes" if as_told else "NO"
        table.add_row(member.name, member.label, *_figures(report), _reasons(report), told)
        if realigned and member.name == REPAIRED:
            # nothing is known of it but what its audit says
            table.add_row(f"{REPAIRED} realigned", "–", *_figures(realigned), _reasons(realigned), "–")
    Console(highlight=False, width=None if sys.stdout.isatty() else 150).print(table)
    return right


def _figures(report: Report) -> list[str]:
    from qaudit.report.wording import number, percent

    metrics = report.metrics
    accuracy = metrics.quality.accuracy if metrics.quality else None
    return [
        percent(metrics.refusal.candidate.rate) if metrics.refusal else "–",
        percent(metrics.over_refusal.candidate.rate) if metrics.over_refusal else "–",
        percent(accuracy.candidate) if accuracy else "–",
        f"{number(metrics.rtsi.score, 2)} {metrics.rtsi.risk}" if metrics.rtsi else "–",
        report.verdict.status,
    ]


def _reasons(report: Report) -> Text:
    failed = list(dict.fromkeys(_named(r) for r in report.verdict.rules if r.status == "fail"))
    more = f" and {len(failed) - 4} more" if len(failed) > 4 else ""
    # as plain text: rich would take a [category] for markup and swallow it
    return Text(", ".join(failed[:4]) + more)


def _named(result: RuleResult) -> str:
    # a rule over every category or suite gives one result for each: say which
    parts = result.metric.split(".")
    return f"{result.rule}[{parts[1]}]" if parts[0] in ("categories", "suites") else result.rule


def _most_telling(members: "list[Member]") -> str:
    hidden = [m.name for m in members if m.label == "hidden_danger"]
    return hidden[0] if hidden else members[0].name


def _release(checkpoint: Path, report: Path, folder: Path, console: Console) -> None:
    """Sign, verify, then change one byte and show that the gate closes."""
    try:
        from qaudit.attest import verify
        from qaudit.attest.local_key import generate_key
        from qaudit.auditing.approval import sign
    except MissingExtra:
        console.print("signing: skipped, run: pip install 'qaudit[sign]'", markup=False)
        return
    from qaudit.files import make_folder, write_atomically

    make_folder(folder)
    key = folder / "demo-key.pem"
    public = folder / "demo-key.pub.pem"
    if not key.is_file():
        public = generate_key(key)
    released = folder / checkpoint.name
    write_atomically(released, checkpoint.read_bytes())
    sign(released, report=report, key=key)
    verify(released, key=public)
    console.print(f"signed and verified: {released}", markup=False, soft_wrap=True)
    tampered = folder / "tampered" / checkpoint.name
    make_folder(tampered.parent)
    changed = bytearray(checkpoint.read_bytes())
    changed[-1] ^= 1
    write_atomically(tampered, bytes(changed))
    for suffix in (".sigstore.json", ".report.json", ".policy.yaml"):
        write_atomically(Path(f"{tampered}{suffix}"), Path(f"{released}{suffix}").read_bytes())
    try:
        verify(tampered, key=public)
    except GateFailure as error:
        console.print(f"one bit changed, refused: {error}", markup=False, soft_wrap=True)
    else:
        raise GateFailure(
            f"{tampered}: verifies although a bit of it was changed; please report this as a bug"
        )
