"""`qaudit pack`: a signed checkpoint as an OCI image layout, for registries."""

from pathlib import Path
from typing import Annotated

import typer

from qaudit.cli.output_format import AsJson, OutputFormat, wants_json


def pack_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The signed checkpoint: a file or a folder.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The layout's folder, a new one.")],
    tag: Annotated[
        str, typer.Option("--tag", metavar="TAG", help="The checkpoint's name in the layout.")
    ] = "latest",
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="The signature, if not in its usual place."),
    ] = None,
    as_json: AsJson = False,
    output_format: OutputFormat = "text",
) -> None:
    """Write a signed checkpoint and its signatures as an OCI image layout.

    Any tool for registries pushes it with its referrers, such as: oras cp -r --from-oci-layout
    DIR:latest REGISTRY/NAME:TAG. What was pulled into a layout is checked with: qaudit verify oci:DIR
    """
    as_json = wants_json(as_json, output_format)
    import json

    from rich.console import Console

    from qaudit.releases.oci_pack import pack

    packed = pack(path, out, tag=tag, bundle=bundle)
    if as_json:
        document = {
            "packed": True,
            "layout": str(packed.layout),
            "digest": packed.digest,
            "files": len(packed.files),
            "signatures": list(packed.signatures),
        }
        typer.echo(json.dumps(document, indent=2))
    Console(stderr=True).print(
        f"packed: {packed.layout}:{tag} ({len(packed.files)} files, {len(packed.signatures)} signatures)\n"
        f"digest: {packed.digest}",
        markup=False,
        soft_wrap=True,
        highlight=False,
    )
