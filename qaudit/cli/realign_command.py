"""`qaudit realign`: quantize again so that refusals survive, then audit what came out."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json
from qaudit.cli.realign_progress import show_plan, watched_realign
from qaudit.engines.choices import Device
from qaudit.values import Report

if TYPE_CHECKING:
    from qaudit.cli.realign_comparison import Column
    from realign.events import Finished
    from realign.options import RealignOptions

LARGEST_SEED = 2**32 - 1  # of scikit-learn
# the methods by name; realign itself, and torch with it, is imported when the command runs
MethodName = Literal["auto", "plain", "qrealign", "qresafe", "protect", "restore"]


def realign_command(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="The checkpoint that fails its audit: a GGUF file, a folder in Hugging Face layout, or "
            "hf://org/repo@revision/file."
        ),
    ],
    reference: Annotated[
        str, typer.Option("--reference", "-r", help="The aligned model that it was made from; as above.")
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="Format and bits of the result: gguf:Q4_K_M, gguf:Q2_K-pure, awq, awq:g64, gptq, gptq:3bit, "
            "compressed-tensors, compressed-tensors:w8a8.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The file or folder to write; steps and figures go beside it.")
    ],
    method: Annotated[
        MethodName,
        typer.Option("--method", "-m", help="How; auto chooses by what was done to the weights."),
    ] = "auto",
    parent: Annotated[
        str | None,
        typer.Option("--parent", help="The float model that CHECKPOINT was quantized from, if you have it."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="report.json of an audit of CHECKPOINT: tells what is wrong with it."),
    ] = None,
    calibration: Annotated[
        list[str] | None,
        typer.Option(
            "--calibration",
            "-c",
            help="Calibration set, by name or folder; may be repeated. Default: shipped.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=10, help="At most N calibration prompts of each kind.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Of all randomness.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done: tensors, bits, memory, time.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what a stopped run left.")] = False,
    no_audit: Annotated[
        bool, typer.Option("--no-audit", help="Do not audit what comes out, and compare nothing.")
    ] = False,
    no_baseline: Annotated[
        bool, typer.Option("--no-baseline", help="Do not quantize plainly too, to compare with.")
    ] = False,
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", "-s", help="Suites of the audit; may be repeated. Default: all shipped."),
    ] = None,
    policy: Annotated[str, typer.Option("--policy", "-p", help="Policy of the audit.")] = "default",
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, max=1024, help="Default: all processors.")
    ] = None,
    device: Annotated[
        Device, typer.Option("--device", help="Where to compute. Default: CUDA, if present.")
    ] = "auto",
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Quantize a checkpoint again so that refusals survive, then audit it beside what it replaces.

    Writes OUT and, in OUT.realign, the plain quantization to compare with, the audits and realign.json.
    Exit code: that of the audit of OUT; 0 without one; 2 could not be done.
    """
    as_json = wants_json(as_json, output_format)
    try:
        from realign.float_model import settled_device
        from realign.options import RealignOptions
    except ImportError as error:
        from qaudit.errors import MissingExtra

        raise MissingExtra(error.name or "torch", "realign") from error
    from qaudit.policy.schema import find_policy, load_policy
    from qaudit.processors import available_threads

    # what the audits at the end would refuse is refused now
    load_policy(find_policy(policy))
    options = RealignOptions(
        to=to,
        out=out,
        method=method,
        parent=parent,
        calibration=tuple(calibration or ()),
        evaluation=tuple(suite or ()),
        limit=limit,
        report=report,
        resume=resume,
        dry_run=dry_run,
        baseline=not no_baseline,
        seed=seed,
        threads=threads or available_threads(),
        device=settled_device(device),
    )
    if report is not None and not (no_audit or dry_run):
        from qaudit.cli.realign_report import require_reusable

        require_reusable(report, reference, options.evaluation)
    console = Console(stderr=True, highlight=False)
    # the work folder is ours until the audits in it are done too
    with watched_realign(checkpoint, reference, options, console) as watched:
        finished = watched.finished
        if finished is None:
            _show_dry(watched.plan, as_json=as_json)
            return
        if no_audit:
            _show(finished.record, finished, as_json=as_json)
            return
        record, found = _audited(checkpoint, reference, options, policy, finished, console)
    _show(record, finished, as_json=as_json)
    from qaudit.cli.audit_command import exit_code

    raise typer.Exit(exit_code(found.verdict.status))


def _audited(
    checkpoint: str,
    reference: str,
    options: "RealignOptions",
    policy: str,
    finished: "Finished",
    console: Console,
) -> tuple[dict[str, Any], Report]:
    """Audit all that the table compares; return the record with the table in it and the result's report."""
    from qaudit.cli.realign_comparison import Audited, compared
    from qaudit.cli.realign_report import given_report
    from realign.recipe_record import write_record

    arms = finished.record["arms"]
    made: dict[Column, tuple[str | Path, str]] = {"failing": (checkpoint, "")}
    if finished.plain:
        made["plain"] = (finished.plain, "plain")
    made["realigned"] = (finished.path, "realigned")
    audits: dict[Column, Audited] = {}
    for column, (path, arm) in made.items():
        folder = options.work / "audits" / column
        if column == "failing" and options.report is not None:
            audits[column] = given_report(options.report, finished.record["inputs"])
            continue
        console.print(f"audit of the {column} checkpoint", markup=False, style="dim")
        found = _audit(path, reference, options, policy, folder)
        seconds = arms[arm]["seconds"] if arm else None
        audits[column] = Audited(found, folder, sum(f.size for f in found.checkpoint.files), seconds)
    record = {
        **finished.record,
        "comparison": compared(audits),
        "audits": {
            column: {
                "verdict": audited.report.verdict.status,
                "report": str(audited.folder) if audited.folder else None,
                "policy": audited.report.verdict.policy.name,
            }
            for column, audited in audits.items()
        },
    }
    write_record(options.work, record)
    return record, audits["realigned"].report


def _audit(path: str | Path, reference: str, options: "RealignOptions", policy: str, folder: Path) -> Report:
    from qaudit.auditing.options import AuditOptions
    from qaudit.cli.audit_command import watch_audit, watch_resumed_audit
    from qaudit.engines.protocol import EngineOptions

    chosen = AuditOptions(
        suites=options.evaluation,
        policy=policy,
        out=folder,
        engine=EngineOptions(options.threads, device=options.device),
        seed=options.seed,
        references=options.work / "audits" / ".references",
    )
    watch = watch_resumed_audit if options.resume else watch_audit
    return watch(path, reference, chosen, Console(quiet=True))


def _show_dry(plan: Any, *, as_json: bool) -> None:  # noqa: ANN401
    if as_json:
        sys.stdout.write(json.dumps(plan.record(), indent=2) + "\n")
        return
    show_plan(plan, Console(highlight=False))


def _show(record: Mapping[str, Any], finished: "Finished", *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(record, indent=2) + "\n")
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if "comparison" in record:
        from qaudit.cli.realign_comparison import show_comparison

        show_comparison(record["comparison"], console)
    console.print(f"checkpoint: {finished.path}", markup=False, soft_wrap=True)
    console.print(f"record: {finished.record_path}", markup=False, soft_wrap=True)
