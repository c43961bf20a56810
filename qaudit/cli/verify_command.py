"""`qaudit verify`: the consumer's gate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json

if TYPE_CHECKING:
    from qaudit.attest.verifying import Verified

NO_AUDIT = "a bare OMS signature: the files are the signer's, but it carries no audit"


def verify_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The checkpoint: a file or a folder.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="The signer's public key (PEM); always needed.")
    ],
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="The signature, if not in its usual place."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", metavar="P", help="Accept only releases judged by this policy (file or shipped name)."
        ),
    ] = None,
    ignore_paths: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore-paths", metavar="P", help="Leave this path out; for bare OMS signatures. Repeatable."
        ),
    ] = None,
    accept_conditional: Annotated[
        bool,
        typer.Option("--accept-conditional", help="Also accept releases signed with --accept-risk."),
    ] = False,
    require_audit: Annotated[
        bool, typer.Option("--require-audit", help="Refuse a bare OMS signature.")
    ] = False,
    revoked: Annotated[
        Path | None,
        typer.Option("--revoked", metavar="FILE", help="List of revoked statement digests, one a line."),
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Verify a checkpoint against its signature: every file, the audit report and the policy.

    Ends with 0 only when everything is as signed; with 1 and the name of what differs otherwise.
    """
    as_json = wants_json(as_json, output_format)
    import json

    from rich.console import Console

    from qaudit.attest.verifying import FilesDiffer, verify
    from qaudit.errors import VerificationFailed

    try:
        verified = verify(
            path,
            key=key,
            bundle=bundle,
            policy=policy,
            ignore_paths=ignore_paths or (),
            accept_conditional=accept_conditional,
            require_audit=require_audit,
            revoked=revoked,
        )
    except VerificationFailed as error:
        if as_json:
            problems = error.problems if isinstance(error, FilesDiffer) else (str(error),)
            document = {
                "verified": False,
                "path": str(path),
                "reason": str(error),
                "problems": list(problems),
            }
            typer.echo(json.dumps(document, indent=2))
        raise
    if as_json:
        typer.echo(json.dumps(_document(verified), indent=2))
    Console(stderr=True).print(_prose(verified), markup=False, soft_wrap=True, highlight=False)


def _document(verified: "Verified") -> dict[str, Any]:
    audit = verified.audit
    return {
        "verified": True,
        "path": str(verified.path),
        "bundle": str(verified.bundle),
        "signed_by": {"mode": verified.signed_by.mode, "key_sha256": verified.signed_by.identity},
        "statement_sha256": verified.statement_sha256,
        "files": list(verified.names),
        "audited": verified.audited,
        "note": None if audit else NO_AUDIT,
        "report": str(verified.report) if verified.report else None,
        "policy": str(verified.policy) if verified.policy else None,
        "audit": audit.model_dump(mode="json", exclude_none=True) if audit else None,
    }


def _prose(verified: "Verified") -> str:
    count = f"{len(verified.names)} file{'s' if len(verified.names) != 1 else ''}"
    head = f"verified: {verified.path} ({count}) is as signed by the key {verified.signed_by.identity[:16]}"
    audit = verified.audit
    if audit is None:
        return f"{head}\n{NO_AUDIT}"
    lines = [
        head,
        f"audit: {audit.verdict.decision} (verdict {audit.verdict.status}) under the policy"
        f" {audit.policy.name} version {audit.policy.version}; valid until {audit.notAfter}",
    ]
    refusal = audit.report.headline.refusal
    if refusal is not None:
        low, high = refusal.deltaCi95
        lines.append(
            f"refusal: {refusal.reference.rate:.3f} -> {refusal.candidate.rate:.3f}"
            f" (n {refusal.candidate.n}, difference {refusal.delta:+.3f}, 95 % {low:+.3f} to {high:+.3f})"
        )
    if audit.verdict.acceptedRisk is not None:
        lines.append(f"accepted risk: {audit.verdict.acceptedRisk}")
    lines.append(f"report: {verified.report}")
    return "\n".join(lines)
