"""`qaudit audit`: static, behaviour, verdict and report for one checkpoint."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json
from qaudit.engines.choices import Device, Dtype, Kernels
from qaudit.values import Report, Status

if TYPE_CHECKING:
    from qaudit.auditing.options import AuditOptions


def audit_command(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="The quantized checkpoint to audit: a GGUF file, a folder in Hugging Face layout, "
            "hf://org/repo@revision/file, or a served model, https://host/v1#model."
        ),
    ],
    reference: Annotated[
        str,
        typer.Option(
            "--reference", "-r", help="The model that it was made from, at 8 bits or more; as above."
        ),
    ],
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", "-s", help="Suite name or folder; may be repeated. Default: all shipped."),
    ] = None,
    policy: Annotated[
        str, typer.Option("--policy", "-p", help="Shipped policy name or YAML file.")
    ] = "default",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")] = Path("qaudit-report"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an audit that was stopped.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="At most N items of each suite.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, max=1024, help="Default: all processors.")
    ] = None,
    parallel: Annotated[
        int, typer.Option("--parallel", min=1, max=250, help="Sequences decoded at once.")
    ] = 32,
    context: Annotated[
        int, typer.Option("--context", min=64, help="Most tokens of a prompt and reply.")
    ] = 4096,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, max=4096, help="Longest reply.")] = 256,
    gpu_layers: Annotated[
        int | None,
        typer.Option(
            "--gpu-layers", min=-1, help="GGUF layers on the GPU; -1 for all. Default: all, if present."
        ),
    ] = None,
    device: Annotated[
        Device, typer.Option("--device", help="Where transformers computes. Default: CUDA, if present.")
    ] = "auto",
    dtype: Annotated[
        Dtype,
        typer.Option("--dtype", help="What it computes in. Default: float32, on CUDA the reference's type."),
    ] = "auto",
    kernels: Annotated[
        Kernels, typer.Option("--kernels", help="Quantized kernels, or weights decoded first.")
    ] = "auto",
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=1000, help="Served model: prompts under way at once.")
    ] = 16,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Served model: seconds that one reply may take.")
    ] = 300.0,
    api_key_env: Annotated[
        str, typer.Option("--api-key-env", help="Served model: environment variable that holds the key.")
    ] = "QAUDIT_API_KEY",
    ca_bundle: Annotated[
        Path | None, typer.Option("--ca-bundle", help="Served model: PEM file of the authorities to trust.")
    ] = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Served model: allow http to other machines.")
    ] = False,
    chat_template: Annotated[
        Path | None,
        typer.Option("--chat-template", help="Template for both arms in place of the reference's."),
    ] = None,
    calibration: Annotated[Path | None, typer.Option("--calibration", help="RTSI calibration file.")] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Audit a checkpoint against its reference: behaviour, quality, verdict under a policy.

    Writes report.json, report.html, report.sarif, junit.xml and responses.jsonl. Exit code 0 pass,
    1 fail, 2 could not be done, 3 inconclusive.
    """
    from qaudit.auditing.options import AuditOptions
    from qaudit.engines.protocol import EngineOptions, ServedOptions
    from qaudit.processors import available_threads

    as_json = wants_json(as_json, output_format)
    options = AuditOptions(
        suites=tuple(suite or ()),
        policy=policy,
        out=out,
        resume=resume,
        limit=limit,
        max_tokens=max_tokens,
        engine=EngineOptions(
            threads or available_threads(),
            parallel,
            context,
            gpu_layers,
            device=device,
            dtype=dtype,
            kernels=kernels,
        ),
        served=ServedOptions(
            concurrency,
            timeout,
            api_key_env=api_key_env,
            ca_bundle=ca_bundle,
            insecure_http=insecure_http,
        ),
        chat_template=chat_template,
        calibration=calibration,
    )
    report = watch_audit(checkpoint, reference, options, Console(stderr=True))
    show(report, out, as_json=as_json)
    raise typer.Exit(exit_code(report.verdict.status))


def exit_code(status: Status) -> int:
    """Return the exit code of a verdict."""
    from qaudit.errors import ExitCode

    codes = {"pass": ExitCode.PASS, "fail": ExitCode.GATE_FAILED, "inconclusive": ExitCode.INCONCLUSIVE}
    return int(codes[status])


def watch_audit(
    checkpoint: str | Path, reference: str | Path, options: "AuditOptions", console: Console
) -> Report:
    """Run an audit, showing progress on a terminal; return the report."""
    from qaudit.auditing.chain import run_audit
    from qaudit.cli.audit_progress import AuditProgress

    with AuditProgress(console) as progress:
        for event in run_audit(checkpoint, reference, options):
            report = progress.notice(event)
            if report is not None:
                return report
    raise RuntimeError("the audit ended without a report")


def watch_resumed_audit(
    checkpoint: str | Path, reference: str | Path, options: "AuditOptions", console: Console
) -> Report:
    """Go on with the audit in the folder, or begin anew where what is there is of another one."""
    from dataclasses import replace

    from qaudit.errors import OtherAudit

    try:
        return watch_audit(checkpoint, reference, replace(options, resume=True), console)
    except OtherAudit:
        return watch_audit(checkpoint, reference, replace(options, resume=False), console)


def show(report: Report, out: Path, *, as_json: bool) -> None:
    """Print the summary, or the JSON document."""
    if as_json:
        from qaudit.report import json_report

        sys.stdout.write(json_report.dump(report))
        return
    from qaudit.report import terminal

    console = Console(highlight=False)
    terminal.render(report, console)
    console.print(f"report: {out / 'report.html'}", markup=False, soft_wrap=True)
