"""`qaudit keygen`: make a key pair for `qaudit sign` and `qaudit verify`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class KeyType(StrEnum):
    """The algorithms that sign."""

    p256 = "p256"
    ed25519 = "ed25519"


def keygen_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The private key's place, e.g. key.pem.")],
    kind: Annotated[KeyType, typer.Option("--type", help="p256 interoperates most widely.")] = KeyType.p256,
    encrypt: Annotated[
        bool,
        typer.Option("--encrypt", help="Encrypt the private key with QAUDIT_KEY_PASSWORD or a prompt."),
    ] = False,
) -> None:
    """Make a key pair: FILE (private, mode 0600) and, beside it, the public key as NAME.pub.pem.

    A key that exists is never overwritten. Setting QAUDIT_KEY_PASSWORD encrypts the key as well.
    """
    from rich.console import Console

    from qaudit.attest.local_key import generate_key, password_from_environment
    from qaudit.cli.key_password import key_password
    from qaudit.errors import InputError

    password = key_password(file, confirm=True) if encrypt else password_from_environment()
    if encrypt and not password:
        raise InputError(f"{file}: --encrypt needs a password that is not empty")
    public = generate_key(file, kind.value, password)
    Console(stderr=True).print(
        f"private key: {file} ({'encrypted' if password else 'not encrypted'}; keep it secret)\n"
        f"public key: {public} (give it to those who verify)",
        markup=False,
        soft_wrap=True,
        highlight=False,
    )
