import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")
import huggingface_hub.file_download
from loopback_hub import git_id

from qaudit.checkpoints.hub_library import explained, library, locked, quiet, unwritable
from qaudit.errors import EnvironmentProblem, HubUnreachable, InputError, MissingExtra, OutputProblem


def state() -> tuple[int, bool]:
    return logging.getLogger("huggingface_hub").level, huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY


def test_it_is_quiet_inside_and_as_before_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    before = state()
    logger = logging.getLogger("huggingface_hub.utils._http")
    logger.warning("heard before")
    with quiet():
        with quiet():
            pass
        assert state()[1] is True
        logger.critical("from a server\x1b[2J")
    assert state() == before
    logger.warning("heard again")
    assert caplog.messages == ["heard before", "heard again"]


def test_it_is_as_before_however_threads_overlap() -> None:
    before = state()
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            entered.set()
            leave.wait(120)

    with quiet():
        thread = threading.Thread(target=other)
        thread.start()
        assert entered.wait(120)
    assert state()[1] is True  # the other still needs it
    leave.set()
    thread.join()
    assert state() == before


def test_it_is_as_before_after_an_error() -> None:
    before = state()
    with pytest.raises(KeyboardInterrupt), quiet():
        raise KeyboardInterrupt
    assert state() == before


def test_the_environment_is_left_alone_and_old_variables_warn_nobody() -> None:
    program = (
        "import os; before = dict(os.environ)\n"
        "from qaudit.checkpoints.hub_library import library, quiet\n"
        "import sys; assert 'huggingface_hub' not in sys.modules\n"
        "with quiet(): library()\n"
        "assert dict(os.environ) == before"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600,
        env={"HF_HUB_ENABLE_HF_TRANSFER": "1", "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        MissingExtra, match=r"huggingface_hub is not installed; run: pip install 'qaudit\[hub\]'"
    ):
        library()


def test_a_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with locked(tmp_path / "locks" / "x.lock"):
            inside += 1
            most = max(most, inside)
            threading.Event().wait(0.02)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputProblem, match="set HF_HUB_CACHE to another folder"),
        locked(tmp_path / "file" / "x"),
    ):
        pass
    assert "No space left" in str(unwritable(tmp_path, OSError(28, "No space left on device")))


def test_errors_in_the_body_of_a_lock_are_not_taken_for_its_own(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^mine$"), locked(tmp_path / "x"):
        raise OSError("mine")


def refused(status: int, code: str | None = None) -> Exception:
    httpx = sys.modules[huggingface_hub.errors.HTTPError.__module__.partition(".")[0]]
    request = httpx.Request("GET", "http://hub/api")
    headers = {"X-Error-Code": code} if code else {}
    response = httpx.Response(status, request=request, headers=headers)
    error = huggingface_hub.errors.HfHubHTTPError("told by\nthe server", response=response)
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize(
    ("status", "code", "kind", "why"),
    [
        (401, "RepoNotFound", InputError, "has no such model, or not for everybody; .*HF_TOKEN"),
        (401, None, InputError, "HF_TOKEN"),
        (404, "RepoNotFound", InputError, "has no such model"),
        (404, "RevisionNotFound", InputError, "no such revision; name a branch, tag or whole commit"),
        (404, "EntryNotFound", InputError, "the commit has no such file"),
        (401, "GatedRepo", InputError, "ask for it on the model's page, then set HF_TOKEN"),
        (403, "GatedRepo", InputError, "ask for it on the model's page"),
        (403, None, InputError, "only to people with access"),
        (408, None, HubUnreachable, "busy or down .status 408."),
        (429, None, HubUnreachable, "busy or down .status 429.; try again later"),
        (503, None, HubUnreachable, "busy or down .status 503."),
        (416, None, InputError, "run again to download it afresh"),
        (418, None, EnvironmentProblem, "answers with status 418; check HF_ENDPOINT"),
    ],
)
def test_what_a_hub_refuses_ends_in_one_line_with_a_mend(
    status: int, code: str | None, kind: type[Exception], why: str
) -> None:
    with pytest.raises(kind, match=f"^hf://o/r: .*{why}") as caught, explained("the-hub", "hf://o/r"):
        raise refused(status, code)
    assert type(caught.value) is kind
    assert "told by" not in str(caught.value)


def test_a_token_in_a_message_is_not_shown() -> None:
    errors = huggingface_hub.errors
    for error in (
        errors.HTTPError("Illegal header value b'Bearer hf_secret'"),
        ValueError("Bearer hf_secret"),
    ):
        with pytest.raises(EnvironmentProblem) as caught, explained("the-hub", "hf://o/r"):
            raise error
        assert "secret" not in str(caught.value)


def test_what_is_ours_passes_and_what_is_nobodys_too() -> None:
    for error in (MissingExtra("x", "y"), KeyboardInterrupt(), OSError(28, "full")):
        with pytest.raises(type(error)) as caught, explained("the-hub", "hf://o/r"):
            raise error
        assert caught.value is error


def test_gits_id_is_gits() -> None:
    # of the empty file, as every git repository knows it
    assert git_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
