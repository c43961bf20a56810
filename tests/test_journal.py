import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import qaudit
from qaudit.errors import InputError, OutputProblem
from qaudit.journal import Journal, Record


def test_records_come_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "k", resume=False)
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
    journal.close()


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "k", resume=False)

    def records():
        yield Record("a", {})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.add("reference", "replies", records())
    assert journal.known("reference", "replies") == set()
    journal.add("reference", "replies", [Record("b", {})])
    journal.close()
    again = Journal(tmp_path / "j", "k", resume=True)
    assert again.known("reference", "replies") == {"b"}
    again.close()


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


def test_kill_9_in_the_middle_of_a_batch_leaves_the_batches_before(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(qaudit.__file__).parent.parent)}
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "j")], env=environment, check=False)
    assert run.returncode == -signal.SIGKILL
    journal = Journal(tmp_path / "j", "k", resume=True)
    assert journal.known("reference", "replies") == {"first"}
    journal.close()


def test_without_resume_it_starts_empty(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal(tmp_path / "j", "k", resume=False)
        assert journal.known("reference", "replies") == set()
        journal.add("reference", "replies", [Record("a", {})])
        journal.close()


def test_another_audits_journal_and_other_files_are_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j", "k", resume=False).close()
    with pytest.raises(InputError, match="of another audit"):
        Journal(tmp_path / "j", "other", resume=True)
    (tmp_path / "text").write_bytes(b"hello, this is not a database at all, but a text file")
    with pytest.raises(InputError, match="is not a qaudit journal"):
        Journal(tmp_path / "text", "k", resume=True)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputProblem, match="cannot be opened"):
        Journal(tmp_path / "no" / "j", "k", resume=True)
