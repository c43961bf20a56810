from collections.abc import Iterator
from pathlib import Path

import pytest

from qaudit.lab import build_cache
from qaudit.lab.build_cache import Cache
from qaudit.lab.members import ZOO

MEMBERS = {member.name: member for member in ZOO}
FILE, FOLDER, QUANTIZED = MEMBERS["Q8_0"], MEMBERS["hf-F16"], MEMBERS["AWQ-g128"]


@pytest.fixture(autouse=True)
def _fresh_digests() -> Iterator[None]:
    build_cache._base.cache_clear()
    yield
    build_cache._base.cache_clear()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / FILE.file_name).write_bytes(b"weights")
    for member in (FOLDER, QUANTIZED):
        (tmp_path / member.file_name).mkdir()
        (tmp_path / member.file_name / "config.json").write_text("{}")
    cache = Cache(tmp_path)
    for member in (FILE, FOLDER, QUANTIZED):
        assert not cache.holds(member)
        cache.keep(member)
    return tmp_path


def held(out: Path) -> list[str]:
    build_cache._base.cache_clear()
    return [member.name for member in (FILE, FOLDER, QUANTIZED) if Cache(out).holds(member)]


def test_what_was_kept_is_held(out: Path) -> None:
    assert held(out) == ["Q8_0", "hf-F16", "AWQ-g128"]


def test_changed_files_are_not_what_was_made(out: Path) -> None:
    (out / FILE.file_name).write_bytes(b"weight")
    (out / FOLDER.file_name / "config.json").write_text("{ }")
    (out / QUANTIZED.file_name / "more.txt").write_text("")
    assert held(out) == []


def test_missing_ones_are_not_held(out: Path) -> None:
    (out / FILE.file_name).unlink()
    assert held(out) == ["hf-F16", "AWQ-g128"]


@pytest.mark.parametrize(
    ("tool", "left"),
    [
        ("torch", ["Q8_0", "hf-F16"]),
        ("llama-cpp-python", ["hf-F16", "AWQ-g128"]),
        ("compressed-tensors", ["Q8_0", "hf-F16"]),
        ("ray", ["Q8_0", "hf-F16", "AWQ-g128"]),
    ],
)
def test_another_version_of_a_tool_counts_where_it_is_used(
    out: Path, tool: str, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = build_cache.importlib.metadata.version
    monkeypatch.setattr(
        build_cache.importlib.metadata, "version", lambda name: "999" if name == tool else version(name)
    )
    assert held(out) == left


def test_a_damaged_cache_holds_nothing(out: Path) -> None:
    for damaged in (b"\xff{", b"[1, 2]", b"{"):
        (out / ".cache.json").write_bytes(damaged)
        assert held(out) == []


def test_every_source_that_decides_is_there() -> None:
    for name in (*build_cache.WEIGHTS, *build_cache.GGUF, *build_cache.FOLDER):
        assert (build_cache.LAB / name).is_file()
