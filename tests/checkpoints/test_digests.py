from pathlib import Path

import pytest

from qaudit.checkpoints.digests import combined_digest, digest_files
from qaudit.errors import InputError
from qaudit.files import sha256_bytes
from qaudit.values import FileDigest

ZEROS, ONES = "0" * 64, "1" * 64


def test_files_are_hashed_relative_to_their_folder_in_the_order_given(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    paths = [tmp_path / "b.gguf", tmp_path / "sub" / "a.gguf"]
    for path in paths:
        path.write_bytes(path.name.encode())
    assert digest_files(paths, tmp_path) == (
        FileDigest("b.gguf", 6, sha256_bytes(b"b.gguf")),
        FileDigest("sub/a.gguf", 6, sha256_bytes(b"a.gguf")),
    )
    assert [d.path for d in digest_files(paths[::-1], tmp_path)] == ["sub/a.gguf", "b.gguf"]


def test_the_size_is_that_of_the_hashed_bytes_behind_a_link(tmp_path: Path) -> None:
    # the model hub's cache is made of links to blobs
    (tmp_path / "blob").write_bytes(b"x" * 3_000_000)
    (tmp_path / "model.gguf").symlink_to(tmp_path / "blob")
    (digest,) = digest_files([tmp_path / "model.gguf"], tmp_path)
    assert digest == FileDigest("model.gguf", 3_000_000, sha256_bytes(b"x" * 3_000_000))


def test_one_file_stands_for_itself_and_several_bind_names_and_sizes() -> None:
    one, two = FileDigest("a", 1, ZEROS), FileDigest("b", 2, ONES)
    assert combined_digest([one]) == ZEROS
    assert combined_digest([one, two]) == combined_digest([two, one])
    assert combined_digest([one, two]) == sha256_bytes(f"{ZEROS} 1 a\n{ONES} 2 b\n".encode())


@pytest.mark.parametrize(
    "other", [FileDigest("c", 2, ONES), FileDigest("b", 3, ONES), FileDigest("b", 2, ZEROS)]
)
def test_every_part_of_a_digest_counts(other: FileDigest) -> None:
    one, two = FileDigest("a", 1, ZEROS), FileDigest("b", 2, ONES)
    assert combined_digest([one, two]) != combined_digest([one, other])
    assert combined_digest([one, two]) != combined_digest([one, two, other])


def test_a_name_cannot_pass_for_two_lines() -> None:
    honest = [FileDigest("a", 1, ZEROS), FileDigest("b", 2, ONES), FileDigest("c", 3, ZEROS)]
    forged = [FileDigest(f"a\n{ONES} 2 b", 1, ZEROS), FileDigest("c", 3, ZEROS)]
    assert combined_digest(honest) != combined_digest(forged)
    escaped = [FileDigest(f"a\\n{ONES} 2 b", 1, ZEROS), FileDigest("c", 3, ZEROS)]
    assert combined_digest(escaped) != combined_digest(forged)


def test_names_that_are_not_utf8_have_a_digest_of_their_own() -> None:
    names = ["\udcff", "\udcfe", "ÿ"]
    assert len({combined_digest([FileDigest(n, 1, ZEROS), FileDigest("z", 1, ONES)]) for n in names}) == 3


def test_a_file_that_went_away(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"")
    with pytest.raises(InputError, match="gone: cannot be read"):
        digest_files([tmp_path / "here", tmp_path / "gone"], tmp_path)
