from pathlib import Path

import pytest
from qaudit.checkpoints.digests import combined_digest, digest_files
from qaudit.errors import InputError
from qaudit.files import sha256_bytes
from qaudit.values import FileDigest


def test_files_are_hashed_relative_to_their_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    paths = [tmp_path / "b.gguf", tmp_path / "sub" / "a.gguf"]
    for path in paths:
        path.write_bytes(path.name.encode())
    digests = digest_files(paths, tmp_path)
    assert digests == (
        FileDigest("b.gguf", 6, sha256_bytes(b"b.gguf")),
        FileDigest("sub/a.gguf", 6, sha256_bytes(b"a.gguf")),
    )


def test_one_file_stands_for_itself_and_several_bind_names_and_sizes() -> None:
    one, two = FileDigest("a", 1, "0" * 64), FileDigest("b", 2, "1" * 64)
    assert combined_digest([one]) == "0" * 64
    assert combined_digest([one, two]) == combined_digest([two, one])
    assert combined_digest([one, two]) != combined_digest([one, FileDigest("c", 2, "1" * 64)])
    assert combined_digest([one, two]) == sha256_bytes(f"{'0' * 64} 1 a\n{'1' * 64} 2 b\n".encode())


def test_a_file_that_went_away(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        digest_files([tmp_path / "gone"], tmp_path)
