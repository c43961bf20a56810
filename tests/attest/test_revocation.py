from pathlib import Path

import pytest

from qaudit.attest.revocation import read_revocations
from qaudit.errors import InputError, MalformedFile

ONE, TWO = "1" * 64, "a" * 64


def test_reads_digests_remarks_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text(f"# list\n\n{ONE}  leaked key\n   {TWO}\n{ONE}\n")
    assert read_revocations(file) == {ONE, TWO}
    file.write_text("")
    assert read_revocations(file) == frozenset()


@pytest.mark.parametrize("line", ["A" * 64, "1" * 63, "1" * 65, f"sha256:{ONE}", "junk"])
def test_a_list_that_is_half_understood_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "revoked"
    file.write_text(f"{ONE}\n{line}\n")
    with pytest.raises(MalformedFile, match="line 2"):
        read_revocations(file)


def test_unusable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_revocations(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(MalformedFile, match="not UTF-8"):
        read_revocations(tmp_path / "binary")
