"""The journal: what is in it survives a kill, what is not ours is refused, and no space is one line."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qaudit
from qaudit.errors import InputError, OutputProblem
from qaudit.journal import Journal, Record

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}


def test_records_come_back(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    flat, square = np.arange(3, dtype=np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)
    journal.add("reference", "replies", [Record("a", {"text": "x\ud800"}, flat), Record("b", {"n": 1})])
    journal.add("reference", "passages", [Record("a", {}, square)])
    assert journal.known("reference", "replies") == {"a", "b"}
    assert journal.known("candidate", "replies") == set()
    assert journal.fields("reference", "replies") == {"a": {"text": "x\ud800"}, "b": {"n": 1}}
    np.testing.assert_array_equal(journal.floats("reference", "replies", "a"), flat)
    np.testing.assert_array_equal(journal.floats("reference", "passages", "a"), square)
    assert journal.floats("reference", "replies", "b") is None
    assert journal.floats("reference", "replies", "none") is None
    journal.drop_floats()
    assert journal.floats("reference", "replies", "a") is None
    assert journal.known("reference", "replies") == {"a", "b"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(
    fields=st.dictionaries(st.text(), JSON, max_size=4),
    shape=st.tuples(st.integers(0, 4), st.integers(1, 4)) | st.tuples(st.integers(1, 5)),
    dtype=st.sampled_from(["<f4", ">f4", "<f8", "<f2"]),
    transposed=st.booleans(),
)
def test_any_fields_and_any_array_come_back(
    tmp_path: Path, fields: dict, shape: tuple[int, ...], dtype: str, transposed: bool
) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    if transposed and shape[0]:
        values = values.T
    journal = Journal(tmp_path / "j", "k", resume=False)
    journal.add("a", "k", [Record("id", fields, values)])
    assert journal.fields("a", "k") == {"id": fields}
    back = journal.floats("a", "k", "id")
    journal.close()
    assert back is not None
    assert back.dtype == np.float32
    assert back.shape == values.shape
    np.testing.assert_array_equal(back, values.astype(np.float32))


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1, 2, 3)])
def test_arrays_that_would_lose_their_shape_are_refused_and_nothing_is_stored(
    open_journal: Callable[..., Journal], shape: tuple[int, ...]
) -> None:
    journal = open_journal()
    with pytest.raises(ValueError, match="floats of shape"):
        journal.add("a", "k", [Record("first", {}), Record("id", {}, np.zeros(shape, np.float32))])
    assert journal.known("a", "k") == set()


def test_a_batch_is_all_or_nothing(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()

    def records() -> Iterator[Record]:
        yield Record("a", {})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.add("reference", "replies", records())
    with pytest.raises(TypeError):
        journal.add("reference", "replies", [Record("a", {}), Record("b", {"set": {1}})])
    assert journal.known("reference", "replies") == set()
    journal.add("reference", "replies", [Record("b", {})])
    journal.close()
    assert open_journal(resume=True).known("reference", "replies") == {"b"}


def test_a_batch_of_several_kinds_is_all_or_nothing(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.add_together("x", {"replies": [Record("a", {"n": 1})], "memory": [Record("engine", {"n": 1})]})

    def broken() -> Iterator[Record]:
        yield Record("engine", {"n": 2})
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        journal.add_together("x", {"replies": [Record("b", {"n": 2})], "memory": broken()})
    assert journal.fields("x", "replies") == {"a": {"n": 1}}
    assert journal.fields("x", "memory") == {"engine": {"n": 1}}


def test_the_same_record_again_replaces_the_first(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.add("a", "k", [Record("id", {"n": 1}, np.ones(2, np.float32))])
    journal.add("a", "k", [Record("id", {"n": 2})])
    assert journal.fields("a", "k") == {"id": {"n": 2}}
    assert journal.floats("a", "k", "id") is None


KILLED = """
import os, sys
from pathlib import Path
from qaudit.journal import Journal, Record
journal = Journal(Path(sys.argv[1]), "k", resume=False)
journal.add("reference", "replies", [Record("first", {})])
def records():
    yield Record("second", {})
    os.kill(os.getpid(), 9)
    yield Record("third", {})
journal.add("reference", "replies", records())
"""


def test_kill_9_in_the_middle_of_a_batch_leaves_the_batches_before(
    tmp_path: Path, open_journal: Callable[..., Journal]
) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "j")], env=ENVIRONMENT, check=False)
    assert run.returncode == -signal.SIGKILL
    assert open_journal(resume=True).known("reference", "replies") == {"first"}


# each batch has a few megabytes, so that a kill from outside often falls into the writing of one
WRITING = """
import sys
from pathlib import Path
import numpy as np
from qaudit.journal import Journal, Record
journal = Journal(Path(sys.argv[1]), "k", resume=False)
floats = np.ones(100_000, np.float32)
for batch in range(10_000):
    journal.add("reference", "replies", [Record(f"{batch}/{n}", {}, floats) for n in range(8)])
    print(batch, flush=True)
"""


@pytest.mark.parametrize("after", [0.0, 0.004, 0.011])
def test_a_kill_at_any_moment_leaves_whole_batches_and_all_that_were_confirmed(
    tmp_path: Path, open_journal: Callable[..., Journal], after: float
) -> None:
    command = [sys.executable, "-c", WRITING, str(tmp_path / "j")]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "0\n"
        time.sleep(after)
        writer.kill()
        confirmed = [0, *(int(line) for line in writer.stdout.read().split("\n") if line)]
    journal = open_journal(resume=True)
    known = journal.known("reference", "replies")
    batches = {int(name.split("/")[0]) for name in known}
    assert known == {f"{batch}/{n}" for batch in batches for n in range(8)}
    assert batches >= set(confirmed)
    last = journal.floats("reference", "replies", f"{max(batches)}/7")
    assert last is not None
    assert last.sum() == 100_000
    journal.add("reference", "replies", [Record("more", {})])


def test_without_resume_it_starts_empty(tmp_path: Path, open_journal: Callable[..., Journal]) -> None:
    for _ in range(2):
        journal = open_journal()
        assert journal.known("reference", "replies") == set()
        journal.add("reference", "replies", [Record("a", {})])
        journal.close()
    # what a killed process left beside it belongs to the old file and must not come back
    for suffix in ("-wal", "-shm", "-journal"):
        (tmp_path / f"j{suffix}").write_bytes(b"stale")
    assert open_journal().known("reference", "replies") == set()


def test_resuming_where_nothing_is_starts_empty(open_journal: Callable[..., Journal]) -> None:
    assert open_journal(resume=True).known("reference", "replies") == set()


def test_a_journal_that_was_killed_before_it_said_what_it_is(
    tmp_path: Path, open_journal: Callable[..., Journal]
) -> None:
    open_journal().close()
    with sqlite3.connect(tmp_path / "j") as database:
        database.execute("DELETE FROM about")
    database.close()
    open_journal(key="other", resume=True).close()
    with pytest.raises(InputError, match="of another audit"):
        open_journal(resume=True)


def test_another_audits_journal_is_refused_and_left_alone(
    tmp_path: Path, open_journal: Callable[..., Journal]
) -> None:
    journal = open_journal()
    journal.add("a", "k", [Record("id", {})])
    journal.close()
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(InputError, match=r"is of another audit .*run without --resume"):
        open_journal(key="other", resume=True)
    assert (tmp_path / "j").read_bytes() == before
    assert open_journal(resume=True).known("a", "k") == {"id"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE about SET value='qaudit/journal/v9' WHERE key='layout'", "a journal of another qaudit"),
        ("DELETE FROM about WHERE key='layout'", "a journal of another qaudit"),
        ("DELETE FROM about WHERE key='key'", "of another audit"),
        ("DELETE FROM about", "a journal of another qaudit"),
        ("DROP TABLE about; CREATE TABLE about (x)", "is not a qaudit journal"),
        ("DROP TABLE records; CREATE TABLE records (x)", "is not a qaudit journal"),
        ("DROP TABLE about; CREATE VIEW about AS SELECT 1 AS key, 2 AS value", "a journal of another qaudit"),
    ],
)
def test_databases_that_are_not_this_journal(
    tmp_path: Path, open_journal: Callable[..., Journal], change: str, message: str
) -> None:
    journal = open_journal()
    journal.add("a", "k", [Record("id", {})])
    journal.close()
    database = sqlite3.connect(tmp_path / "j")
    database.executescript(change)
    database.close()
    with pytest.raises(InputError, match=message):
        open_journal(resume=True).known("a", "k")


def test_files_that_are_no_database(tmp_path: Path, open_journal: Callable[..., Journal]) -> None:
    journal = open_journal("torn")
    journal.add("a", "k", [Record(str(n), {}, np.ones(500, np.float32)) for n in range(50)])
    journal.close()
    raw = (tmp_path / "torn").read_bytes()
    (tmp_path / "torn").write_bytes(raw[:5000] + b"\xff" * (len(raw) - 5000))
    (tmp_path / "text").write_bytes(b"hello, this is not a database at all, but a text file" * 50)
    for name in ("torn", "text"):
        with pytest.raises(InputError, match=r"is not a qaudit journal; run without --resume") as caught:
            open_journal(name, resume=True).fields("a", "k")
        assert str(caught.value).isprintable()
    assert (tmp_path / "text").read_bytes().startswith(b"hello")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("fields", "not json"),
        ("fields", b"\xff"),
        ("floats", b"123"),
        ("floats", "text"),
        ("columns", 7),
        ("columns", "x"),
    ],
)
def test_records_that_were_tampered_with(
    tmp_path: Path, open_journal: Callable[..., Journal], column: str, value: object
) -> None:
    journal = open_journal()
    journal.add("a", "k", [Record("id", {}, np.ones((2, 2), np.float32))])
    journal.close()
    database = sqlite3.connect(tmp_path / "j")
    database.execute(f"UPDATE records SET {column} = ?", (value,))  # noqa: S608
    database.commit()
    database.close()
    journal = open_journal(resume=True)
    with pytest.raises(InputError, match="the journal is damaged; run without --resume"):
        journal.fields("a", "k") if column == "fields" else journal.floats("a", "k", "id")


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["no/j", "file/j", "folder", "/proc/journal", "a\0b", "n" * 300])
def test_places_that_cannot_be_written(
    tmp_path: Path, open_journal: Callable[..., Journal], name: str, resume: bool
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputProblem, match="choose another --out") as caught:
        open_journal(name, resume=resume)
    assert str(caught.value).isprintable()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from qaudit.errors import OutputProblem
from qaudit.journal import Journal, Record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path(sys.argv[1]), "k", resume=False)
journal.add("reference", "replies", [Record("first", {})])
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
floats = np.ones(5000, np.float32)
try:
    for batch in range(1000):
        journal.add("reference", "replies", [Record(f"{batch}/{n}", {}, floats) for n in range(4)])
        print(batch)
except OutputProblem as error:
    print(error)
    print(sorted(journal.known("reference", "replies")))
journal.close()
"""


@pytest.mark.parametrize("limit", [40_000, 150_000, 600_000])
def test_no_space_is_one_line_and_keeps_what_was_confirmed(
    tmp_path: Path, open_journal: Callable[..., Journal], limit: int
) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "j"), str(limit)]
    run = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    *confirmed, complaint, known = run.stdout.splitlines()
    assert "the journal cannot be written" in complaint
    assert "free space or choose another --out" in complaint
    expected = {"first", *(f"{batch}/{n}" for batch in confirmed for n in range(4))}
    assert known == str(sorted(expected))
    # with space again, it goes on
    journal = open_journal(resume=True)
    assert journal.known("reference", "replies") == expected
    journal.add("reference", "replies", [Record("more", {})])


def test_two_audits_into_one_journal_do_not_mix_silently(
    open_journal: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = open_journal(), open_journal(resume=True)
    second._database.execute("PRAGMA busy_timeout=50")

    def records() -> Iterator[Record]:
        yield Record("a", {})
        with pytest.raises(OutputProblem, match="database is locked"):
            second.add("x", "k", [Record("b", {})])

    first.add("x", "k", records())
    assert second.known("x", "k") == {"a"}
