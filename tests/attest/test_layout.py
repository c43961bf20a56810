from pathlib import Path

import pytest

from qaudit.attest.layout import (
    Places,
    find_signature,
    places,
    read_regular,
    refuse_inside,
    usable_path,
    write_all,
)
from qaudit.attest.manifest import SIDECAR_NAMES
from qaudit.errors import InputError, OutputProblem


def test_places_of_a_folder(tmp_path: Path) -> None:
    inside = tmp_path / ".qaudit"
    names = (
        "audit.sigstore.json",
        "report.json",
        "policy.yaml",
        "realign.json",
        "vsa.sigstore.json",
        "test-result.sigstore.json",
    )
    expected = Places(*(inside / name for name in names))
    assert places(tmp_path) == expected
    assert places(tmp_path, inside / "audit.sigstore.json") == expected


def test_places_of_a_file_and_of_a_named_bundle(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.touch()
    companions = [
        "report.json", "policy.yaml", "realign.json", "vsa.sigstore.json", "test-result.sigstore.json",
    ]  # fmt: skip
    assert places(file).every == (
        tmp_path / "m.gguf.sigstore.json",
        *(tmp_path / f"m.gguf.{name}" for name in companions),
    )
    assert places(file, tmp_path / "x" / "y.bundle").every == (
        tmp_path / "x" / "y.bundle",
        *(tmp_path / "x" / f"y.bundle.{name}" for name in companions),
    )
    assert places(tmp_path / "m-00002-of-00003.gguf").bundle.name == "m-00001-of-00003.gguf.sigstore.json"


def test_a_bundle_inside_the_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    refuse_inside(folder, folder / ".qaudit" / "audit.sigstore.json")
    refuse_inside(folder, tmp_path / "model.sigstore.json")
    for inside in ("b.sigstore.json", ".qaudit/other.sigstore.json", "x/../y.json"):
        with pytest.raises(InputError, match="inside the signed checkpoint"):
            refuse_inside(folder, folder / inside)
    file = tmp_path / "m.gguf"
    file.touch()
    with pytest.raises(InputError, match="inside the signed checkpoint"):
        refuse_inside(file, file)


def test_finds_the_audit_first_and_a_bare_signature_only_without_any_trace_of_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not signed"):
        find_signature(tmp_path)
    (tmp_path / "model.sig").touch()
    assert find_signature(tmp_path) == tmp_path / "model.sig"
    for trace in sorted(SIDECAR_NAMES):
        (tmp_path / ".qaudit").mkdir()
        (tmp_path / ".qaudit" / trace).touch()
        assert find_signature(tmp_path) == tmp_path / ".qaudit" / "audit.sigstore.json"
        (tmp_path / ".qaudit" / trace).unlink()
        (tmp_path / ".qaudit").rmdir()


def test_finds_the_signature_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.touch()
    (tmp_path / "model.sig").touch()
    assert find_signature(file) == tmp_path / "model.sig"
    (tmp_path / "m.gguf.sig").touch()
    assert find_signature(file) == tmp_path / "m.gguf.sig"
    (tmp_path / "m.gguf.sigstore.json").touch()
    assert find_signature(file) == tmp_path / "m.gguf.sigstore.json"


def test_read_regular_follows_no_link_and_keeps_its_bound(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"12345")
    assert read_regular(file, 5) == b"12345"
    with pytest.raises(InputError, match="longer than 4 bytes"):
        read_regular(file, 4)
    link = tmp_path / "l"
    link.symlink_to(file)
    with pytest.raises(InputError, match="a symbolic link"):
        read_regular(link, 5)
    with pytest.raises(InputError, match="No such file"):
        read_regular(tmp_path / "none", 5)
    with pytest.raises(InputError, match=r"cannot be read|not a regular file"):
        read_regular(tmp_path, 5)


def write(where: Places, mark: bytes, *optional: Path) -> None:
    named = {where.bundle: b"b", where.report: b"r", where.policy: b"p"} | dict.fromkeys(optional, b"o")
    write_all(where, {path: mark + letter for path, letter in named.items()})


def test_writes_all_three(tmp_path: Path) -> None:
    where = places(tmp_path)
    write(where, b"1")
    write(where, b"2")
    assert [p.read_bytes() for p in (where.bundle, where.report, where.policy)] == [b"2b", b"2r", b"2p"]
    assert sorted(p.name for p in (tmp_path / ".qaudit").iterdir()) == [
        "audit.sigstore.json",
        "policy.yaml",
        "report.json",
    ]


def test_what_an_earlier_signature_had_besides_is_removed(tmp_path: Path) -> None:
    where = places(tmp_path)
    write(where, b"1", *where.optional)
    assert {path.name for path in (tmp_path / ".qaudit").iterdir()} == SIDECAR_NAMES
    write(where, b"2", where.vsa)
    assert where.vsa.read_bytes() == b"2o"
    assert not where.recipe.exists()
    assert not where.test_result.exists()


def test_other_files_of_the_release_are_written_with_it(tmp_path: Path) -> None:
    where, other = places(tmp_path), tmp_path / "model.sig"
    write(where, b"1", other)
    assert other.read_bytes() == b"1o"
    where.bundle.unlink()
    where.bundle.mkdir()
    with pytest.raises(OutputProblem, match="is a link or a folder"):
        write(where, b"2", other)
    assert other.read_bytes() == b"1o"


def test_writes_all_or_puts_back_what_was_there(tmp_path: Path) -> None:
    where = places(tmp_path)
    write(where, b"1", where.vsa)
    where.bundle.unlink()
    where.bundle.mkdir()
    with pytest.raises(OutputProblem, match="is a link or a folder"):
        write(where, b"2")
    assert where.report.read_bytes() == b"1r"
    assert where.policy.read_bytes() == b"1p"
    assert where.vsa.read_bytes() == b"1o"


def test_leaves_nothing_half_written(tmp_path: Path) -> None:
    where = places(tmp_path / "m", tmp_path / "new" / "out.sigstore.json")
    where.bundle.parent.mkdir()
    where.policy.mkdir()
    with pytest.raises(OutputProblem):
        write(where, b"1")
    assert list(where.bundle.parent.iterdir()) == [where.policy]
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(OutputProblem):
        write(places(tmp_path, blocked / "x.sigstore.json"), b"1")


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", Path("a\0b")])
def test_names_that_no_file_can_have(name: Path | str) -> None:
    with pytest.raises(InputError, match="not a usable path") as caught:
        usable_path(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["a", ".", "b/ä", Path("c"), "\udcff"])
def test_names_that_a_file_may_have(name: Path | str) -> None:
    assert usable_path(name) == Path(name)
