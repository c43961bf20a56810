"""Checkpoints that many tests share: the lab's own, built once a run with llama.cpp's real tools."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

# waiting OpenMP threads that spin starve the other test processes of a two-core machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all xdist workers of one run share; members are built into it on demand."""
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root
    folder = shared / "lab"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def member(lab_folder: Path) -> Callable[[str], Path]:
    """Return the path of a lab member, built if it is not there yet."""
    from qaudit.lab.build import build
    from qaudit.lab.members import ZOO

    file_names = {member.name: member.file_name for member in ZOO}

    def path_of(name: str) -> Path:
        path = lab_folder / file_names[name]
        with (lab_folder / ".tests.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                for _ in build(lab_folder, [name]):
                    pass
        return path

    return path_of


@pytest.fixture(scope="session")
def f16(member: Callable[[str], Path]) -> Path:
    """The lab's reference as F16 GGUF."""
    return member("F16")


@pytest.fixture(scope="session")
def q8(member: Callable[[str], Path]) -> Path:
    """An honest quantization of it."""
    return member("Q8_0")
