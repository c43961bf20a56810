"""The refusal that names every file that is not as signed."""

from pathlib import Path

from qaudit.errors import VerificationFailed

NAMED_PROBLEMS = 20


class FilesDiffer(VerificationFailed):
    """Files of the checkpoint are not as signed; `problems` names every one of them."""

    def __init__(self, path: Path, problems: tuple[str, ...]) -> None:
        shown = "; ".join(problems[:NAMED_PROBLEMS])
        more = len(problems) - NAMED_PROBLEMS
        rest = f"; and {more} more" if more > 0 else ""
        super().__init__(f"{path}: not as signed: {shown}{rest}; do not load it, fetch the release again")
        self.problems = problems
