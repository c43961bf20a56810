"""`qaudit sign`: sign a checkpoint with its audit report and policy."""

from pathlib import Path
from typing import Annotated

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json


def sign_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The checkpoint: a file or a folder.")],
    report: Annotated[Path, typer.Option("--report", metavar="report.json", help="The report of its audit.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Private key (PEM, P-256 or Ed25519).")],
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="P",
            help="Policy in force: a file or a shipped name. Left out: the shipped one in the report.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="BUNDLE",
            help="Where the bundle goes, with report and policy beside it. Left out: DIR/.qaudit/ or"
            " FILE.sigstore.json.",
        ),
    ] = None,
    accept_risk: Annotated[
        str | None,
        typer.Option(
            "--accept-risk",
            metavar="REASON",
            help="Sign although the verdict is not pass; the reason is signed, and consumers must opt in.",
        ),
    ] = None,
    valid_days: Annotated[
        int, typer.Option("--valid-days", metavar="N", help="How many days the approval lasts.")
    ] = 365,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Sign a checkpoint with its audit.

    Refuses when the verdict is not pass, or when report, policy and checkpoint do not belong together
    byte for byte. An encrypted key is opened with QAUDIT_KEY_PASSWORD or a prompt.
    """
    as_json = wants_json(as_json, output_format)
    import json

    from rich.console import Console

    from qaudit.attest.local_key import permission_warning
    from qaudit.attest.signing import sign
    from qaudit.cli.key_password import key_password

    console = Console(stderr=True)
    signed = sign(
        path,
        report=report,
        key=key,
        policy=policy,
        out=out,
        accept_risk=accept_risk,
        valid_days=valid_days,
        password=lambda: key_password(key),
    )
    warning = permission_warning(key)
    if warning is not None:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True, highlight=False)
    if as_json:
        document = {
            "signed": True,
            "decision": signed.decision,
            "bundle": str(signed.places.bundle),
            "report": str(signed.places.report),
            "policy": str(signed.places.policy),
            "files": len(signed.files),
            "statement_sha256": signed.statement_sha256,
            "not_after": signed.not_after,
        }
        typer.echo(json.dumps(document, indent=2))
    count = f"{len(signed.files)} file{'s' if len(signed.files) != 1 else ''}"
    console.print(
        f"signed as {signed.decision}: {count}, report and policy; valid until {signed.not_after}\n"
        f"bundle: {signed.places.bundle}\nstatement: sha256 {signed.statement_sha256}",
        markup=False,
        soft_wrap=True,
        highlight=False,
    )
