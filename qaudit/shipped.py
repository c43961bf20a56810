"""Where the data that ships with qaudit lies: suites, policies, schemas.

In a wheel it sits inside the package (`qaudit/_shipped/<kind>`); in a checkout it is the
top-level folder of the same name.
"""

import os
from pathlib import Path
from typing import Literal

from qaudit.errors import EnvironmentProblem, InputError

Kind = Literal["suites", "policies"]


def shipped(kind: Kind) -> Path:
    """Return the folder that holds the shipped data of one kind.

    Raises:
        EnvironmentProblem: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_shipped" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise EnvironmentProblem(f"{package}: the shipped {kind} are missing; install qaudit again")


def shipped_names(kind: Kind) -> dict[str, Path]:
    """Return what ships of one kind by name, sorted: suites are folders, policies files."""
    return {
        found.stem: found for found in sorted(shipped(kind).glob("*.yaml" if kind == "policies" else "*/"))
    }


def shipped_or_file(kind: Kind, name_or_path: str) -> Path | None:
    """Return what ships under that name, or the file of that path; None where there is neither.

    A bare name (no folder, no suffix) is never a file: else whoever can put a file called `default`
    where a person works would put it in place of the shipped one. `./default` is the file.

    Raises:
        InputError: a bare name, and a file of that name lies here.
    """
    path = Path(name_or_path)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # too long for a name, or a NUL in it
        return None
    if "/" in name_or_path or os.sep in name_or_path or path.suffix:
        return path if is_file else None
    if is_file:
        raise InputError(
            f"{name_or_path}: a file of this name lies here, and a bare name is what ships with qaudit;"
            f" write ./{name_or_path} for the file, or move it away"
        )
    return shipped_names(kind).get(name_or_path)
