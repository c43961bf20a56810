"""Where the data that ships with qaudit lies: suites, policies, schemas.

In a wheel it sits inside the package (`qaudit/_shipped/<kind>`); in a checkout it is the
top-level folder of the same name.
"""

from pathlib import Path
from typing import Literal

from qaudit.errors import EnvironmentProblem

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
    """Return the file of that path, else what ships under that name, else None."""
    path = Path(name_or_path)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):  # too long for a name, or a NUL in it
        return None
    return shipped_names(kind).get(name_or_path)
