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
