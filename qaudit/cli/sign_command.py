"""`qaudit sign`: sign a checkpoint with its audit report and policy."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json
from qaudit.cli.signer_options import Instance, Staging, TrustConfig, TufRoot, TufUrl, sealer_for

if TYPE_CHECKING:
    from qaudit.attest.dsse import SignedBy

_MAKING = "What more is signed"


class SummaryName(StrEnum):
    """What `--also` takes."""

    VSA = "vsa"
    TEST_RESULT = "test-result"


def sign_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The checkpoint: a file or a folder.")],
    report: Annotated[Path, typer.Option("--report", metavar="report.json", help="The report of its audit.")],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Private key (PEM, P-256 or Ed25519).")
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate", metavar="FILE", help="The certificate of --key (PEM); it is sent along."
        ),
    ] = None,
    chain: Annotated[
        list[Path] | None,
        typer.Option(
            "--chain", metavar="FILE", help="Certificates between --certificate and its root. Repeatable."
        ),
    ] = None,
    keyless: Annotated[
        bool,
        typer.Option(
            "--keyless",
            help="Sign with Sigstore. The token is that of --identity-token, SIGSTORE_ID_TOKEN, the CI"
            " system, or a login in the browser, whichever is there first.",
        ),
    ] = False,
    identity_token: Annotated[
        str | None,
        typer.Option(
            "--identity-token",
            metavar="FILE|-|T",
            help="Sign with Sigstore and this identity token: a file that holds it, - for standard input, or"
            " the token itself (which process lists then show).",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="P",
            help="Policy in force: a file or a shipped name. Left out: the shipped one in the report.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration",
            metavar="FILE",
            help="The RTSI calibration that the audit was given, so that the score is counted again too.",
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
    oms: Annotated[
        bool,
        typer.Option(
            " /--no-oms",
            help="Leave out model.sig, the OMS signature for tools that know no other.",
            show_default=False,
        ),
    ] = True,
    also: Annotated[
        list[SummaryName] | None,
        typer.Option(
            "--also",
            help="Sign the verdict again in words that other tools know: vsa (SLSA's verification summary,"
            " approved releases only) or test-result (in-toto). Repeatable.",
            rich_help_panel=_MAKING,
        ),
    ] = None,
    resource_uri: Annotated[
        str | None,
        typer.Option(
            "--resource-uri",
            metavar="URI",
            help="With --also vsa: where consumers fetch it. Left out: a package URL with its digest.",
            rich_help_panel=_MAKING,
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe",
            metavar="realign.json",
            help="What qaudit realign wrote of it. Left out: PATH.realign/realign.json, if it is there.",
            rich_help_panel=_MAKING,
        ),
    ] = None,
    quantizer: Annotated[
        str | None,
        typer.Option(
            "--quantizer",
            metavar="NAME@VERSION",
            help="The program that quantized it, as llama.cpp@b4512.",
            rich_help_panel=_MAKING,
        ),
    ] = None,
    imatrix: Annotated[
        Path | None,
        typer.Option(
            "--imatrix",
            metavar="FILE",
            help="The importance matrix that it was quantized with; its digest is signed.",
            rich_help_panel=_MAKING,
        ),
    ] = None,
    trust_config: TrustConfig = None,
    staging: Staging = False,
    tuf_url: TufUrl = None,
    tuf_root: TufRoot = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Sign a checkpoint with its audit.

    Refuses when the verdict is not pass, when report, policy and checkpoint do not belong together byte
    for byte, when the report does not say what its own figures and replies say, or is older than its
    policy allows. Signs with a key, a key and its certificate, or with Sigstore. An encrypted key is
    opened with QAUDIT_KEY_PASSWORD or a prompt.
    """
    as_json = wants_json(as_json, output_format)
    import json

    from rich.console import Console

    from qaudit.attest.quantization import Making
    from qaudit.attest.summaries import KINDS, place_of
    from qaudit.auditing.approval import sign
    from qaudit.cli.hashing_progress import signing_progress
    from qaudit.cli.quantization_claims import quantization_claims

    console = Console(stderr=True)
    say = partial(console.print, markup=False, soft_wrap=True, highlight=False)
    signer = sealer_for(
        key=key,
        certificate=certificate,
        chain=chain or [],
        keyless=keyless,
        identity_token=identity_token,
        instance=Instance(trust_config, staging, tuf_url, tuf_root),
        warn=lambda text: say(f"warning: {text}"),
    )
    with signing_progress(console, path) as progress:
        signed = sign(
            path,
            report=report,
            signer=signer,
            policy=policy,
            calibration=calibration,
            out=out,
            accept_risk=accept_risk,
            valid_days=valid_days,
            making=Making(quantizer, imatrix, recipe, quantization_claims(path)),
            also=tuple(kind for kind in KINDS if kind in (also or ())),
            resource_uri=resource_uri,
            oms=oms,
            on_read=progress.read,
        )
    # only a keyless signer learns from the authority who it is; its module is slow to import
    who: SignedBy | None = getattr(signer, "signed_by", None)
    if as_json:
        document = {
            "signed": True,
            "decision": signed.decision,
            "recounted": signed.recounted,
            "why_not_recounted": signed.why_not_recounted,
            "bundle": str(signed.places.bundle),
            "report": str(signed.places.report),
            "policy": str(signed.places.policy),
            "oms": str(signed.oms) if signed.oms else None,
            "files": len(signed.files),
            "statement_sha256": signed.statement_sha256,
            "not_after": signed.not_after,
            "recipe": str(signed.recipe) if signed.recipe else None,
            "also": {kind: str(place_of(kind, signed.places)) for kind in signed.also},
            "signed_by": {"identity": who.identity, "issuer": who.issuer} if who else None,
        }
        typer.echo(json.dumps(document, indent=2))
    if signed.why_not_recounted is not None:
        say(f"warning: {signed.why_not_recounted}")
    count = f"{len(signed.files)} file{'s' if len(signed.files) != 1 else ''}"
    say(
        f"signed as {signed.decision}: {count}, report and policy; valid until {signed.not_after}\n"
        f"bundle: {signed.places.bundle}\nstatement: sha256 {signed.statement_sha256}"
        + (f"\nOMS signature: {signed.oms}" if signed.oms else f"\nno OMS signature: {signed.why_no_oms}")
        + "".join(f"\n{kind}: {place_of(kind, signed.places)}" for kind in signed.also)
        + (f"\nrecipe: {signed.recipe}" if signed.recipe else "")
        + (f"\nverify with: --identity {who.identity!r} --issuer {who.issuer}" if who else "")
    )
