"""`qaudit verify`: the consumer's gate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json
from qaudit.cli.signer_options import (
    Instance,
    Staging,
    TrustConfig,
    TufRoot,
    TufUrl,
    expected_certificate,
    expected_identity,
)

if TYPE_CHECKING:
    from qaudit.attest.dsse import SignedBy
    from qaudit.attest.predicate import Recount
    from qaudit.attest.verifying import Verified

_WORKFLOW = "What a GitHub Actions run must have been, with --identity"
NO_AUDIT = "a bare OMS signature: the files are the signer's, but it carries no audit"


def verify_command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="The checkpoint: a file, a folder, hf://ORG/REPO@REV/FILE, or oci:LAYOUT:TAG"
            " (in an OCI image layout).",
        ),
    ],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Accept this public key's signature (PEM).")
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option(
            "--identity",
            metavar="ID",
            help="Accept the signature of this email address or URI, exactly as the certificate has it.",
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option(
            "--issuer", metavar="URL", help="Who must vouch for --identity: the OpenID Connect issuer."
        ),
    ] = None,
    certificate_root: Annotated[
        list[Path] | None,
        typer.Option(
            "--certificate-root",
            metavar="FILE",
            help="Instead of --issuer: the CA certificates (PEM) that vouch for --identity. Repeatable.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="The signature, if not in its usual place."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Copy what passes into this new folder, and load from there: the bytes that were verified.",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="P",
            help="Your policy, a file or a shipped name. With rules: it must be the one that judged. Its"
            " least suite versions, age and verdicts hold in any case.",
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
    trust_config: TrustConfig = None,
    staging: Staging = False,
    tuf_url: TufUrl = None,
    tuf_root: TufRoot = None,
    workflow_repository: Annotated[
        str | None,
        typer.Option(
            "--workflow-repository", metavar="ORG/NAME", help="It ran here.", rich_help_panel=_WORKFLOW
        ),
    ] = None,
    workflow_ref: Annotated[
        str | None,
        typer.Option(
            "--workflow-ref", metavar="REF", help="On this ref: refs/tags/v1.", rich_help_panel=_WORKFLOW
        ),
    ] = None,
    workflow_sha: Annotated[
        str | None,
        typer.Option("--workflow-sha", metavar="COMMIT", help="On this commit.", rich_help_panel=_WORKFLOW),
    ] = None,
    workflow_name: Annotated[
        str | None,
        typer.Option("--workflow-name", metavar="NAME", help="By this name.", rich_help_panel=_WORKFLOW),
    ] = None,
    workflow_trigger: Annotated[
        str | None,
        typer.Option(
            "--workflow-trigger", metavar="EVENT", help="For this event: push.", rich_help_panel=_WORKFLOW
        ),
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Verify a checkpoint against its signature: every file, the audit report and the policy.

    Say whose signature counts: --key, or --identity with --issuer (Sigstore) or --certificate-root.
    Signatures are checked offline, unless --tuf-url asks for a root.
    Ends with 0 only when everything is as signed; with 1 and the name of what differs otherwise.
    """
    as_json = wants_json(as_json, output_format)
    import json

    from rich.console import Console

    from qaudit.attest.files_differ import FilesDiffer
    from qaudit.checkpoints.hub_spec import hub_text
    from qaudit.cli.fetch_progress import FetchProgress
    from qaudit.errors import VerificationFailed
    from qaudit.releases.verifying import verify_release

    workflow = {
        "repository": workflow_repository,
        "ref": workflow_ref,
        "sha": workflow_sha,
        "name": workflow_name,
        "trigger": workflow_trigger,
    }
    certificate = expected_certificate(certificate_root or [], identity, issuer)
    name = None if certificate else identity
    expected = expected_identity(
        name=name,
        issuer=issuer,
        workflow=workflow,
        instance=Instance(trust_config, staging, tuf_url, tuf_root),
    )
    given, console = hub_text(path) or str(path), Console(stderr=True)
    try:
        with FetchProgress(console, given) as progress:
            place = verify_release(
                given,
                out=out,
                progress=progress,
                on_read=progress.read,
                key=key,
                certificate=certificate,
                identity=expected,
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
                "path": given,
                "reason": str(error),
                "problems": list(problems),
            }
            typer.echo(json.dumps(document, indent=2))
        raise
    load_from = None if out is None else str(place.verified.path)
    if as_json:
        document = _document(place.shown, place.verified) | {"load_from": load_from}
        typer.echo(json.dumps(document, indent=2))
    loading = f"\nload it from: {load_from}" if load_from else ""
    console.print(
        _prose(place.shown, place.verified) + loading, markup=False, soft_wrap=True, highlight=False
    )


def _document(shown: str, verified: "Verified") -> dict[str, Any]:
    audit = verified.audit
    return {
        "verified": True,
        "path": shown,
        "bundle": str(verified.bundle),
        "signed_by": _signer_document(verified.signed_by),
        "statement_sha256": verified.statement_sha256,
        "files": list(verified.names),
        "audited": verified.audited,
        "note": None if audit else NO_AUDIT,
        "report": str(verified.report) if verified.report else None,
        "policy": str(verified.policy) if verified.policy else None,
        "recipe": str(verified.recipe) if verified.recipe else None,
        "also": list(verified.summaries),
        "audit": audit.model_dump(mode="json", exclude_none=True) if audit else None,
    }


def _prose(shown: str, verified: "Verified") -> str:
    count = f"{len(verified.names)} file{'s' if len(verified.names) != 1 else ''}"
    head = f"verified: {shown} ({count}) is as signed by {_signer_prose(verified.signed_by)}"
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
    lines.append(_recount_prose(audit.recount))
    made = audit.quantization
    if made.quantizer is not None:
        how = f", {made.recipe.method} ({made.recipe.arm})" if made.recipe else ""
        lines.append(f"quantized: {made.type} by {made.quantizer.name} {made.quantizer.version}{how}")
    if made.recipe is not None and made.recipe.reference != audit.reference.digest:
        lines.append("it was realigned against another file of the reference than it was audited against")
    if verified.summaries:
        lines.append(f"also signed and checked: {', '.join(verified.summaries)}")
    if audit.verdict.acceptedRisk is not None:
        lines.append(f"accepted risk: {audit.verdict.acceptedRisk}")
    lines.append(f"report: {verified.report}")
    return "\n".join(lines)


def _recount_prose(recount: "Recount | None") -> str:
    """Say what of the figures the signer counted again, and what nobody can."""
    if recount is None:
        return "recounted: the signature does not say whether the figures were counted again from the replies"
    if not recount.complete:
        return f"recounted: no, the figures are as the report tells them: {recount.why}"
    told = f"; as told, for no reply decides it: {', '.join(recount.asTold)}" if recount.asTold else ""
    return f"recounted: yes, from the replies when it was signed{told}"


def _signer_document(signer: "SignedBy") -> dict[str, Any]:
    from qaudit.attest.utc_times import utc_text

    at = signer.signed_at
    return {
        "mode": signer.mode,
        "identity": signer.identity,
        "issuer": signer.issuer,
        "signed_at": utc_text(at) if at else None,
        # its name while keys were the only mode
        "key_sha256": signer.identity if signer.mode == "key" else None,
    }


def _signer_prose(signer: "SignedBy") -> str:
    from qaudit.attest.utc_times import utc_text

    if signer.mode == "key":
        return f"the key {signer.identity[:16]}"
    at = f" at {utc_text(signer.signed_at)}" if signer.signed_at else ""
    return f"{signer.identity} ({signer.issuer}){at}"
