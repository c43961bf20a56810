"""Locks between processes, with real ones."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from qaudit.errors import OutputProblem
from qaudit.locks import locked

HOLD = """
import sys, time
from pathlib import Path
from qaudit.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_refused_with_the_words_given(tmp_path: Path) -> None:
    with _holder(tmp_path / "lock") as holder:
        with pytest.raises(OutputProblem, match=f"{tmp_path}: somebody is here"):  # noqa: SIM117
            with locked(tmp_path / "lock", busy="somebody is here"):
                pytest.fail("held twice")
        holder.kill()


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    with _holder(tmp_path / "lock") as holder:
        holder.kill()
        holder.wait()
        with locked(tmp_path / "lock", busy="somebody is here"):
            pass


def test_without_words_the_other_is_waited_for(tmp_path: Path) -> None:
    with _holder(tmp_path / "lock") as holder, _waiting(tmp_path / "lock") as waiting:
        time.sleep(0.3)
        assert waiting.poll() is None
        holder.kill()
        assert waiting.communicate(timeout=600)[0] == "held\n"


def _waiting(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputProblem, match="none"):  # noqa: SIM117
        with locked(tmp_path / "none" / "lock"):
            pytest.fail("held nothing")
