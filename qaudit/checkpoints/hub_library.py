"""huggingface_hub, loaded when a hub is first asked, kept quiet, and with errors that people can read."""

import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qaudit.errors import (
    EnvironmentProblem,
    HubUnreachable,
    InputError,
    MissingExtra,
    OutputProblem,
    QauditError,
)

SILENT = logging.CRITICAL + 1
_BEARER = re.compile(r"Bearer [^\s'\"]+")
_BUSY = (408, 425, 429)
_lock = threading.Lock()
_depth = 0
_before: tuple[int, bool] = (logging.WARNING, False)


def library() -> Any:  # noqa: ANN401 - the module, whose types change between its versions
    """Return huggingface_hub.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        with warnings.catch_warnings():  # about variables of its past
            warnings.simplefilter("ignore")
            import huggingface_hub
            import huggingface_hub.errors
            import huggingface_hub.file_download  # with it come constants and utils
    except ImportError as error:
        raise MissingExtra("huggingface_hub", "hub") from error
    return huggingface_hub


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the library from printing and from telling who runs it; afterwards it is as it was.

    What a hub sends as a warning would be printed raw; telemetry would ask the public hub even where
    another one is set. Both are switches of the library for the whole process, so they are set back.
    """
    global _depth, _before
    constants, logger = library().constants, logging.getLogger("huggingface_hub")
    with _lock:
        if _depth == 0:
            _before = logger.level, constants.HF_HUB_DISABLE_TELEMETRY
            logger.setLevel(SILENT)
            constants.HF_HUB_DISABLE_TELEMETRY = True
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                logger.setLevel(_before[0])
                constants.HF_HUB_DISABLE_TELEMETRY = _before[1]


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Let one process at a time bring a file.

    Raises:
        OutputProblem: the cache cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        try:
            make_cache_folder(lock.parent)
            stack.enter_context(quiet())
            stack.enter_context(library().utils.WeakFileLock(lock))
        except OSError as error:
            raise unwritable(lock.parent, error) from error
        yield


def make_cache_folder(folder: Path, variable: str = "HF_HUB_CACHE") -> None:
    """Make a folder of a cache if it is not there.

    Raises:
        OutputProblem: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error, variable) from error


def unwritable(folder: Path, error: OSError, variable: str = "HF_HUB_CACHE") -> OutputProblem:
    """Return the error that says that a cache cannot be written to, and which variable moves it."""
    reason = error.strerror or str(error)
    return OutputProblem(
        f"{folder}: cannot write ({reason}); free space there, or set {variable} to another folder"
    )


@contextlib.contextmanager
def explained(hub: str, shown: str) -> Iterator[None]:
    """Turn what the library raises into one line for a person.

    Args:
        hub: the hub's name.
        shown: what was asked for.

    Raises:
        HubUnreachable: no network, or the hub is busy or down.
        InputError: the hub does not have it, or does not give it to this user.
        EnvironmentProblem: the network's settings are wrong.
    """
    errors = library().errors
    try:
        yield
    except QauditError:
        raise
    except errors.HfHubHTTPError as error:
        raise _refusal(hub, shown, error.response) from error
    except errors.OfflineModeIsEnabled as error:
        raise HubUnreachable(f"{shown}: HF_HUB_OFFLINE is set; unset it to ask {hub}") from error
    except errors.HTTPError as error:  # the base of all transport errors, whichever client it is
        reason = _BEARER.sub("Bearer ...", str(error)) or type(error).__name__
        what = (
            "does not answer in time"
            if "Timeout" in type(error).__name__
            else f"cannot be reached ({reason})"
        )
        raise HubUnreachable(f"{shown}: {hub} {what}; check the network and try again") from error
    except (ValueError, ImportError) as error:  # a proxy that is no address or needs another package, no JSON
        reason = _BEARER.sub("Bearer ...", str(error))[:200]
        raise EnvironmentProblem(
            f"{shown}: {hub} does not answer as a hub ({reason}); check HF_ENDPOINT and the proxy settings"
        ) from error


def _refusal(hub: str, shown: str, response: Any) -> QauditError:  # noqa: ANN401
    status, code = response.status_code, response.headers.get("X-Error-Code")
    if status in _BUSY or status >= 500:
        return HubUnreachable(f"{shown}: {hub} is busy or down (status {status}); try again later")
    if code == "GatedRepo" or status == 403:
        return InputError(
            f"{shown}: {hub} gives it only to people with access; ask for it on the model's page, "
            "then set HF_TOKEN to a token of that account"
        )
    if code == "RevisionNotFound":
        return InputError(f"{shown}: the repository has no such revision; name a branch, tag or whole commit")
    if code == "EntryNotFound":
        return InputError(f"{shown}: the commit has no such file; check the name")
    if status in (401, 404):
        return InputError(
            f"{shown}: {hub} has no such model, or not for everybody; check the name, "
            "or set HF_TOKEN to a token that may read it"
        )
    if status == 416:
        return InputError(f"{shown}: {hub} has no more of it; run again to download it afresh")
    return EnvironmentProblem(f"{shown}: {hub} answers with status {status}; check HF_ENDPOINT")
