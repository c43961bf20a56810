import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gguf
import pytest

from qaudit.errors import InputError, OutputProblem
from qaudit.files import sha256_file
from qaudit.lab.build import Built, Started, build

ONLY = ("Q8_0", "Q4_K_M", "Q2_K", "ablated-Q4_K_M")
RUN = """
import sys
from pathlib import Path
from qaudit.lab.build import build
list(build(Path(sys.argv[1]), sys.argv[2:]))
"""


def started(out: Path, only: tuple[str, ...] = ONLY) -> dict[str, bool]:
    """Build; return the members in order, with whether they were there already."""
    return {event.member.name: event.cached for event in build(out, only) if isinstance(event, Started)}


def digests(out: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in out.glob("*.gguf")}


def process(out: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(out), *ONLY], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert started(out) == dict.fromkeys(
        ("F16", "Q8_0", "Q4_K_M", "Q2_K", "ablated-F16", "ablated-Q4_K_M"), False
    )
    return out


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    for path in whole.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_members_are_what_they_are_called(whole: Path) -> None:
    for path in whole.glob("*.gguf"):
        assert gguf.GGUFReader(path).fields["qaudit.lab.member"].contents() == path.stem


def test_zoo_json_keeps_the_contract(whole: Path) -> None:
    zoo = json.loads((whole / "zoo.json").read_text())
    assert {row["name"] for row in zoo} == {path.stem for path in whole.glob("*.gguf")}
    for row in zoo:
        assert {"name", "path", "reference", "format", "label", "expected"} <= row.keys()
        assert {"status", "rules"} <= row["expected"].keys()
        assert (whole / row["path"]).is_file()
        assert (whole / row["reference"]).is_file()
        assert row["format"] == "gguf"


def test_second_build_makes_nothing(copy: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in copy.glob("*.gguf")}
    assert set(started(copy).values()) == {True}
    assert {path: path.stat().st_mtime_ns for path in copy.glob("*.gguf")} == times


def test_missing_member_alone_is_made_again(copy: Path, whole: Path) -> None:
    (copy / "Q4_K_M.gguf").unlink()
    assert [name for name, cached in started(copy).items() if not cached] == ["Q4_K_M"]
    assert digests(copy) == digests(whole)


def test_changed_member_is_made_again(copy: Path, whole: Path) -> None:
    damaged = copy / "Q8_0.gguf"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    assert [name for name, cached in started(copy).items() if not cached] == ["Q8_0"]
    assert digests(copy) == digests(whole)


def test_leftovers_of_a_killed_build_go(copy: Path) -> None:
    (copy / ".Q8_0.gguf.123.tmp").write_bytes(b"half")
    started(copy)
    assert not list(copy.glob(".*.tmp"))


def test_damaged_cache_costs_a_rebuild(copy: Path, whole: Path) -> None:
    (copy / ".cache.json").write_bytes(b"\xff{")
    assert set(started(copy).values()) == {False}
    assert digests(copy) == digests(whole)


@pytest.mark.parametrize("members", [0, 1, 4])
def test_killed_and_run_again(tmp_path: Path, whole: Path, members: int) -> None:
    killed = process(tmp_path)
    # in the middle of making another member, however fast the machine is
    while killed.poll() is None and not half_way(tmp_path, members):
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "zoo.json").exists()
    started(tmp_path)
    assert digests(tmp_path) == digests(whole)


def half_way(folder: Path, members: int) -> bool:
    return len(list(folder.glob("[!.]*.gguf"))) >= members and any(folder.glob(".*.tmp"))


def test_two_at_once(tmp_path: Path, whole: Path) -> None:
    assert [run.wait() for run in [process(tmp_path), process(tmp_path)]] == [0, 0]
    assert digests(tmp_path) == digests(whole)


def test_bad_requests_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such member"):
        list(build(tmp_path / "out", ["Q9"]))
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputProblem, match="file"):
        list(build(tmp_path / "file", ["F16"]))


def test_last_event_names_the_manifest(whole: Path) -> None:
    assert list(build(whole, ["F16"]))[-1] == Built(whole / "zoo.json")
