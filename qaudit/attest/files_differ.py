"""The refusal that names every file that is not as signed."""

from collections.abc import Sequence
from pathlib import Path

from qaudit.errors import VerificationFailed

NAMED_PROBLEMS = 20


def named_problems(problems: Sequence[str]) -> str:
    """Return the first of them in one line, and how many more there are."""
    more = len(problems) - NAMED_PROBLEMS
    return "; ".join(problems[:NAMED_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")


class FilesDiffer(VerificationFailed):
    """Files of the checkpoint are not as signed; `problems` names every one of them."""

    def __init__(self, path: Path, problems: tuple[str, ...]) -> None:
        super().__init__(
            f"{path}: not as signed: {named_problems(problems)}; do not load it, fetch the release again"
        )
        self.problems = problems
