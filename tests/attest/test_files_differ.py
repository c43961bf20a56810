from pathlib import Path

from qaudit.attest.files_differ import NAMED_PROBLEMS, FilesDiffer


def test_names_the_first_and_counts_the_rest() -> None:
    names = tuple(f"f{number:02}: missing" for number in range(NAMED_PROBLEMS + 3))
    error = FilesDiffer(Path("model"), names)
    assert error.problems == names
    assert "f19: missing; and 3 more; do not load it" in str(error)
    assert "f20" not in str(error)
    assert "more" not in str(FilesDiffer(Path("model"), names[:NAMED_PROBLEMS]))
