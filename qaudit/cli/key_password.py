"""Where a key's password comes from: the environment, else a prompt, never the command line."""

import sys
from pathlib import Path

import typer

from qaudit.attest.local_key import PASSWORD_VARIABLE, password_from_environment
from qaudit.errors import InputError


def key_password(key: Path, *, confirm: bool = False) -> str:
    """Return the password for a key file.

    Args:
        key: the file, named in the prompt.
        confirm: ask twice, for a new key.

    Raises:
        InputError: it is not in the environment and nobody is there to ask.
    """
    password = password_from_environment()
    if password is not None:
        return password
    if not sys.stdin.isatty():
        raise InputError(f"{key}: needs a password; set {PASSWORD_VARIABLE} or run in a terminal")
    # on stderr, so that a prompt never mixes with data on stdout
    answer: str = typer.prompt(f"password for {key}", hide_input=True, confirmation_prompt=confirm, err=True)
    return answer
