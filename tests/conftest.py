"""What many tests share: the lab's checkpoints, built once a run with llama.cpp's real tools, a hub, journals."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from loopback_hub import LoopbackHub

if TYPE_CHECKING:
    from loopback_sigstore.instance import LoopbackSigstore

    from qaudit.journal import Journal

# waiting OpenMP threads that spin starve the other test processes of a two-core machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The same examples in every run, and no clock: a landing must not be refused for a rare example that has nothing
# to do with it, nor for a slow machine. New examples are drawn by `make test-all` and, endlessly, by `make fuzz`.
CLOCKLESS = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("same", derandomize=True, print_blob=True, **CLOCKLESS)
settings.register_profile("exploring", print_blob=True, **CLOCKLESS)
settings.load_profile("same")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name binary parameters by their place: archives hold the time at which they were made.

    Two processes of one run must collect the same names.
    """
    return argname if isinstance(val, bytes) and not (val.isascii() and len(val) < 40) else None


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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub on loopback that the environment names, with a cache of its own."""
    pytest.importorskip("huggingface_hub")
    import huggingface_hub.file_download

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    # the library reads these when it is loaded
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    huggingface_hub.close_session()
    with LoopbackHub() as serving:
        monkeypatch.setenv("HF_ENDPOINT", serving.endpoint)
        yield serving
    huggingface_hub.close_session()


@pytest.fixture
def start_sigstore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., "LoopbackSigstore"]]:
    """Start loopback Sigstores that stop when the test ends; nothing of the real ones is in reach."""
    from loopback_sigstore.instance import LoopbackSigstore

    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))
    for name in ("SIGSTORE_ID_TOKEN", "GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.ExitStack() as running:
        yield lambda **options: running.enter_context(LoopbackSigstore(**options))


@pytest.fixture
def sigstore(start_sigstore: Callable[..., "LoopbackSigstore"]) -> "LoopbackSigstore":
    """A Sigstore on loopback: Rekor v1 and a timestamp authority."""
    return start_sigstore()


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Callable[..., "Journal"]]:
    """Open journals that are closed when the test ends."""
    from qaudit.journal import Journal

    journals: list[Journal] = []

    def open_one(name: str = "j", key: str = "k", *, resume: bool = False) -> Journal:
        journals.append(Journal(tmp_path / name, key, resume=resume))
        return journals[-1]

    yield open_one
    for journal in journals:
        journal.close()
