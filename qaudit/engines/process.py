"""One worker process: started, spoken to under deadlines, killed and reaped.

There are no threads here: every read and write waits in `poll` on the worker's pipes until a
deadline, so a worker that hangs, floods or stops listening cannot hold its parent.
"""

import fcntl
import io
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from qaudit.confinement import Limits
from qaudit.engines.answers import one_line
from qaudit.engines.frames import Header, read_frame, write_frame
from qaudit.engines.protocol import FloatArray
from qaudit.errors import EngineFailure, OutOfMemory

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

Frame = tuple[Header, FloatArray | None]
# what a worker may see of our environment: no keys, no tokens
KEPT_ENVIRONMENT = (
    "PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR",
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
WORKER_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "TORCHINDUCTOR_CACHE_DIR": os.sep,
}  # fmt: skip
PIPE_BYTES = 1 << 20
LAST_WORDS = 4096
# a worker whose pipe has just closed is about to have an exit status of its own
EXIT_GRACE_S = 0.5
LOOK_EVERY_S = 0.25


class WorkerDied(EngineFailure):
    """The worker process ended, hung or broke its limits while it had work."""


class _TimeUp(Exception):
    """The deadline of a read or a write has passed."""


class WorkerProcess:
    """A running worker; one call at a time.

    Args:
        module: what to run; it must speak `frames`.
        limits: bounds that the process takes on before anything else.

    Raises:
        EngineFailure: no process can be started.
        WorkerDied: it does not confine itself.
    """

    def __init__(self, module: str, limits: Limits) -> None:
        self._limits = limits
        self.busy = False
        self._ended = False
        self.held: list[str] = []
        self._child, self._pipes = _launch(module)
        self._answers = io.BufferedReader(self._pipes, PIPE_BYTES)
        try:
            for header, _ in self.call({"op": "confine", "limits": asdict(limits)}, None):
                self.held = [one_line(str(name), 40) for name in header.get("held", [])][:20]
        except BaseException:
            self.end()
            raise

    def call(self, request: Header, wall_s: float | None) -> Iterator[Frame]:
        """Send a request, then yield its frames until "done".

        Only the time that is spent waiting for the worker counts towards `wall_s`. An iterator that is
        not run to its end leaves the process `busy`: end it, for what it still says answers nothing.

        Raises:
            EngineFailure: the worker answered "error"; it can be asked again.
            WorkerDied: it is gone, and reaped.
        """
        self.busy = True
        sent, spent = False, 0.0
        while not self._ended:
            allowed = self._limits.stall_s if wall_s is None else min(self._limits.stall_s, wall_s - spent)
            started = time.monotonic()
            self._pipes.deadline = started + allowed
            try:
                if not sent:
                    self._send(request)
                    sent = True
                frame = read_frame(self._answers)
            except _TimeUp as error:
                overdue = wall_s is not None and spent + time.monotonic() - started >= wall_s
                reason = f"the call took longer than {wall_s:g} s" if overdue else "no sign of life"
                raise self._died(reason if overdue else f"{reason} in {allowed:g} s") from error
            except (EngineFailure, OSError, ValueError) as error:
                raise self._died(one_line(str(error))) from error
            spent += time.monotonic() - started
            if frame is None:
                raise self._died("")
            kind = frame[0].get("kind")
            if kind in ("done", "error"):
                self.busy = False
                if kind == "error":
                    message = one_line(str(frame[0].get("message") or "the worker gave no reason"))
                    raise OutOfMemory(message) if frame[0].get("crowded") is True else EngineFailure(message)
                return
            if kind != "alive":
                yield frame
        raise WorkerDied("it was ended")

    def _send(self, request: Header) -> None:
        raw = io.BytesIO()
        write_frame(raw, request)
        with suppress(BrokenPipeError):  # then it has ended, and reading says so
            self._pipes.send(raw.getbuffer())

    def _died(self, reason: str) -> WorkerDied:
        status = self.end()
        said = [reason, _manner(status) if status is not None else ""]
        words = one_line(self._pipes.last_words.decode(errors="replace"), LAST_WORDS)[-200:]
        said.append(f"last words: {words}" if words else "")
        return WorkerDied("; ".join(part for part in said if part) or "it was ended")

    def end(self) -> int | None:
        """Kill what still runs, reap, close the pipes; may be called again.

        Returns:
            The exit status, if the process had ended by itself.
        """
        if self._ended:
            return None
        self._ended = True
        own = self._own_status()
        # the whole session: a checkpoint's code may have started processes of its own
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.kill()
        self._child.wait()
        self._pipes.hear_last_words()
        self._answers.close()
        return own

    def _own_status(self) -> int | None:
        try:
            return self._child.wait(timeout=EXIT_GRACE_S if self._pipes.ended else 0)
        except subprocess.TimeoutExpired:
            return None


class _Pipes(io.RawIOBase):
    """The parent's three pipe ends; reading and sending raise _TimeUp after `deadline`."""

    def __init__(
        self, requests: int, answers: int, complaints: int, child: "subprocess.Popen[bytes]"
    ) -> None:
        super().__init__()
        self._child = child
        self._requests, self._answers, self._complaints = requests, answers, complaints
        self.deadline = 0.0
        self.ended = False
        self.last_words = b""
        for descriptor in (requests, answers, complaints):
            os.set_blocking(descriptor, False)
        if sys.platform.startswith("linux"):
            # room for a distribution over a large vocabulary, so that the worker seldom waits for us
            with suppress(OSError):
                fcntl.fcntl(answers, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(complaints, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        while True:
            heard = self._wait_for(self._answers, select.POLLIN)
            if not heard:
                self.ended = True
                return 0
            with suppress(BlockingIOError):
                count = os.readv(self._answers, [buffer])
                self.ended = not count
                return count

    def send(self, data: "ReadableBuffer") -> None:
        rest = memoryview(data)
        while rest:
            if not self._wait_for(self._requests, select.POLLOUT):
                raise BrokenPipeError
            with suppress(BlockingIOError):
                rest = rest[os.write(self._requests, rest[: 1 << 16]) :]

    def _wait_for(self, descriptor: int, event: int) -> bool:
        """Return True when the descriptor is ready, False when the worker has ended and it is not."""
        self._poll.register(descriptor, event)
        try:
            # a worker that always has a little more to say is late all the same
            while (left := self.deadline - time.monotonic()) > 0:
                ready = dict(self._poll.poll(min(left, LOOK_EVERY_S) * 1000))
                if self._complaints in ready:
                    self.hear_last_words()
                if descriptor in ready:
                    return True
                # a pipe need not close when the worker ends: a child of its own may hold it
                if not ready and self._child.poll() is not None:
                    return False
            raise _TimeUp
        finally:
            self._poll.unregister(descriptor)

    def hear_last_words(self) -> None:
        """Keep the end of what the worker wrote to its standard error; one read's worth a time."""
        with suppress(BlockingIOError):
            words = os.read(self._complaints, 1 << 16)
            self.last_words = (self.last_words + words)[-LAST_WORDS:]
            if not words:
                with suppress(KeyError):
                    self._poll.unregister(self._complaints)

    def close(self) -> None:
        if not self.closed:
            for descriptor in (self._requests, self._answers, self._complaints):
                os.close(descriptor)
        super().close()


def _launch(module: str) -> tuple["subprocess.Popen[bytes]", _Pipes]:
    with ExitStack() as ours, ExitStack() as theirs:
        ends = []
        try:
            for _ in range(3):
                ends.append(os.pipe())
                theirs.callback(os.close, ends[-1][0 if len(ends) == 1 else 1])
                ours.callback(os.close, ends[-1][1 if len(ends) == 1 else 0])
            (request_read, request_write), (answer_read, answer_write), (words_read, words_write) = ends
            child = _start(module, request_read, answer_write, words_write)
        except OSError as error:
            raise EngineFailure(f"no worker process can be started ({error}); free some memory") from error
        ours.pop_all()
    return child, _Pipes(request_write, answer_read, words_read, child)


def _start(module: str, requests: int, answers: int, words: int) -> "subprocess.Popen[bytes]":
    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            # -P: modules that lie in the current folder, perhaps beside the checkpoint, are not ours
            [sys.executable, "-P", "-B", "-m", module, str(requests), str(answers)],
            pass_fds=(requests, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            env=_environment(),
            # ctrl-c is ours to handle; and all that the worker starts can be killed with it
            start_new_session=True,
        )

    if threading.current_thread() is threading.main_thread():
        return start()
    # Linux kills a worker when the thread that started it ends, so a lasting one must
    return _starter(os.getpid()).submit(start).result()


@cache
def _starter(_pid: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="qaudit-worker-starter")


def _environment() -> dict[str, str]:
    environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    # waiting threads that spin would take the second core from the parent
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # a second thread before `confine` would stay outside it, and rule out a network namespace
    environment["OPENBLAS_NUM_THREADS"] = "1"
    # nothing is asked of a hub, and folders that libraries make on import must seem to be there
    environment.update(WORKER_ENVIRONMENT)
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():
        # run from a source tree: the worker must be of the same one
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), environment.get("PYTHONPATH"))))
    return environment


def _manner(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    if -status == signal.SIGXCPU:
        return "used up its processor time"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
