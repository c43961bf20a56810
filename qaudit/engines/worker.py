"""A local engine behind a limited process: started, watched, restarted, never trusted.

A worker that dies, hangs or overruns its limits is started again. The prompts that were under way
are then asked one at a time; one that kills the worker a second time is answered `crashed` and the
rest is done.
"""

import importlib.util
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from qaudit.engines.frames import Header, read_frame, write_frame
from qaudit.engines.protocol import (
    Answer,
    Ask,
    ChoiceAsk,
    ChoiceScore,
    Conversation,
    EngineOptions,
    FloatArray,
    Limits,
    PassageAsk,
    PassageScore,
    Progress,
    Rendered,
    crashed,
)
from qaudit.errors import EngineFailure, MissingExtra
from qaudit.values import EngineInfo, Reply, TokenLogprob

Frame = tuple[Header, FloatArray | None]
RENDER_WALL_S = 60.0
# what a worker may see of our environment: no keys, no tokens
KEPT_ENVIRONMENT = (
    "PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR",
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip


def require_llamacpp() -> None:
    """Raise MissingExtra, before any work is done, where llama-cpp-python is not installed."""
    if importlib.util.find_spec("llama_cpp") is None:
        raise MissingExtra("llama-cpp-python", "gguf")


class WorkerDied(EngineFailure):
    """The worker process ended, hung or broke its limits while it had work."""


class WorkerEngine:
    """An Engine (see `protocol.Engine`) in a process of its own.

    Args:
        path: the checkpoint.
        options: how to run it.
        limits: bounds of the process.
        special_tokens: bos_token and the like, for the chat template.
        module: what the process runs; it must speak `frames`.

    Raises:
        EngineFailure: the checkpoint does not load.
    """

    def __init__(
        self,
        path: Path,
        options: EngineOptions,
        limits: Limits,
        special_tokens: dict[str, str] | None = None,
        module: str = "qaudit.engines.worker_main",
    ) -> None:
        self._path = path
        self._options = options
        self._limits = limits
        self._special_tokens = special_tokens or {}
        self._module = module
        self._process: _Process | None = None
        self.restarts = 0
        self.held: list[str] = []
        try:
            self._start()
        except WorkerDied as error:
            raise EngineFailure(f"{path}: the engine did not survive loading it ({error})") from error

    def _start(self) -> None:
        self._process = _Process(self._module, self._limits)
        request = {"op": "load", "path": str(self._path), "options": asdict(self._options)}
        self.held = self._process.held
        for header, _ in self._call(request):
            if header.get("kind") == "loaded":
                self.info = EngineInfo(**header["info"])
                self.vocabulary = int(header["vocabulary"])

    def _call(self, request: Header, wall_s: float | None = None) -> Iterator[Frame]:
        """Send a request; yield its frames until done.

        Raises:
            EngineFailure: the worker answered with an error (it lives on).
            WorkerDied: the worker is gone; it has been reaped.
        """
        if self._process is None:
            self.restarts += 1
            self._start()
        process = self._process
        if process is None:
            raise WorkerDied("the worker could not be started")
        deadline = wall_s or self._limits.wall_s
        try:
            yield from process.call(request, deadline)
        except WorkerDied:
            self._process = None
            raise
        except GeneratorExit:
            # whoever asked has gone; what is left of the answer must not meet the next question
            self.close()
            raise

    def render(self, template: str, conversations: Sequence[Conversation]) -> list[Rendered]:
        """Apply a chat template in the sandbox inside the worker.

        Raises:
            EngineFailure: the template does not end within its limits.
        """
        request = {
            "op": "render",
            "template": template,
            "conversations": [asdict(c) for c in conversations],
            "special_tokens": self._special_tokens,
        }
        try:
            frames = list(self._call(request, RENDER_WALL_S))
        except WorkerDied as error:
            raise EngineFailure(
                f"{self._path}: its chat template did not render within the limits ({error})"
            ) from error
        return [
            Rendered(**item)
            for header, _ in frames
            if header.get("kind") == "rendered"
            for item in header["items"]
        ]

    def generate(self, asks: Sequence[Ask], progress: Progress | None = None) -> list[Answer]:
        """Answer all asks; those that kill the worker twice are `crashed`."""
        answers: dict[int, Answer] = {}
        waiting = list(range(len(asks)))
        while waiting:
            try:
                self._generate_batch(asks, waiting, answers, progress)
            except EngineFailure:
                unanswered = [i for i in waiting if i not in answers]
                # prompts are admitted in order, so no more than these can have been under way
                suspects, waiting = unanswered[: self._options.parallel], unanswered[self._options.parallel :]
                for index in suspects:
                    self._generate_alone(asks, index, answers, progress)
            else:
                waiting = []
        return [answers[i] for i in range(len(asks))]

    def _generate_alone(
        self, asks: Sequence[Ask], index: int, answers: dict[int, Answer], progress: Progress | None
    ) -> None:
        try:
            self._generate_batch(asks, [index], answers, progress)
        except EngineFailure:
            answers[index] = crashed(asks[index].id)
            if progress:
                progress(len(answers))

    def _generate_batch(
        self, asks: Sequence[Ask], wanted: list[int], answers: dict[int, Answer], progress: Progress | None
    ) -> None:
        request = {"op": "generate", "asks": [asdict(asks[i]) for i in wanted]}
        for header, payload in self._call(request):
            if header.get("kind") == "answer":
                answers[wanted[int(header["index"])]] = Answer(_reply(header["reply"]), payload)
                if progress:
                    progress(len(answers))
        missing = [asks[i].id for i in wanted if i not in answers]
        if missing:
            raise EngineFailure(
                f"the worker left {len(missing)} prompts unanswered, the first is {missing[0]}"
            )

    def choose(self, asks: Sequence[ChoiceAsk]) -> list[ChoiceScore]:
        """Score continuations."""
        request = {"op": "choose", "asks": [asdict(a) for a in asks]}
        return [
            ChoiceScore(h["id"], tuple(h["logprobs"]), tuple(h["tokens"]))
            for h, _ in self._call(request)
            if h.get("kind") == "choice"
        ]

    def read(self, asks: Sequence[PassageAsk]) -> Iterator[PassageScore]:
        """Read passages one by one."""
        tokens: FloatArray | None = None
        for header, payload in self._call({"op": "read", "asks": [asdict(a) for a in asks]}):
            if header.get("kind") == "tokens":
                tokens = payload
            elif header.get("kind") == "passage" and tokens is not None and payload is not None:
                yield PassageScore(header["id"], tokens, payload)

    def close(self) -> None:
        """End the worker process."""
        if self._process is not None:
            self._process.end()
            self._process = None


def _reply(fields: Header) -> Reply:
    try:
        top = tuple(TokenLogprob(int(t["token"]), str(t["text"]), float(t["logprob"])) for t in fields["top"])
        return Reply(str(fields["id"]), str(fields["text"]), int(fields["tokens"]), fields["finish"], top)
    except (KeyError, TypeError, ValueError) as error:
        raise EngineFailure("the worker sent a reply of another shape") from error


class _Process:
    """One worker process with its pipes and the thread that reads them."""

    def __init__(self, module: str, limits: Limits) -> None:
        self._limits = limits
        request_read, request_write = os.pipe()
        answer_read, answer_write = os.pipe()
        environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        # waiting threads that spin would take the second core from the parent
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._child = subprocess.Popen(
            [sys.executable, "-B", "-m", module, str(request_read), str(answer_write)],
            pass_fds=(request_read, answer_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        os.close(request_read)
        os.close(answer_write)
        self._requests: BinaryIO = os.fdopen(request_write, "wb")
        self._answers: BinaryIO = os.fdopen(answer_read, "rb")
        self._frames: queue.Queue[Frame | EngineFailure | None] = queue.Queue(maxsize=64)
        self._complaints: deque[bytes] = deque(maxlen=4)
        self._threads = [
            threading.Thread(target=self._read_answers, daemon=True),
            threading.Thread(target=self._read_complaints, daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._send({"op": "confine", "limits": asdict(limits)})
        header, _ = self._next(time.monotonic() + limits.stall_s)
        self.held: list[str] = [str(name) for name in header.get("held", [])]

    def _read_answers(self) -> None:
        try:
            while (frame := read_frame(self._answers)) is not None:
                self._frames.put(frame)
        except EngineFailure as error:
            self._frames.put(error)
        self._frames.put(None)

    def _read_complaints(self) -> None:
        stream = self._child.stderr
        while stream is not None and (line := stream.readline(4096)):
            self._complaints.append(line)

    def _send(self, request: Header) -> None:
        try:
            write_frame(self._requests, request)
        except (BrokenPipeError, ValueError) as error:
            raise self._died("it was gone before it was asked") from error

    def _next(self, deadline: float) -> Frame:
        try:
            frame = self._frames.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty as error:
            raise self._died("no sign of life within the time limit") from error
        if isinstance(frame, EngineFailure):
            raise self._died(str(frame)) from frame
        if frame is None:
            raise self._died("")
        return frame

    def call(self, request: Header, wall_s: float | None) -> Iterator[Frame]:
        """Send, then yield frames until "done"; an "error" frame raises EngineFailure."""
        self._send(request)
        end = time.monotonic() + wall_s if wall_s else float("inf")
        while True:
            header, payload = self._next(min(end, time.monotonic() + self._limits.stall_s))
            kind = header.get("kind")
            if kind == "done":
                return
            if kind == "error":
                raise EngineFailure(str(header.get("message", "the worker gave no reason"))[:500])
            if kind == "alive":
                if time.monotonic() > end:
                    raise self._died("the call took longer than its time limit")
                continue
            yield header, payload

    def _died(self, reason: str) -> WorkerDied:
        code = self.end()
        if not reason:
            reason = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
        complaint = b" ".join(self._complaints).decode(errors="replace").split()
        return WorkerDied(f"{reason}; last words: {' '.join(complaint)[-200:]}" if complaint else reason)

    def end(self) -> int:
        """Kill, reap and close; return the exit status (its own, if it had ended by itself)."""
        try:
            # a worker whose pipe has just closed is about to have a status of its own
            self._child.wait(timeout=0.5 if not self._threads[0].is_alive() else 0)
        except subprocess.TimeoutExpired:
            self._child.kill()
        code = self._child.wait()
        while self._threads[0].is_alive():
            # the reader may be waiting for room in the queue
            while not self._frames.empty():
                self._frames.get_nowait()
            self._threads[0].join(timeout=0.05)
        self._threads[1].join(timeout=1)
        for stream in (self._requests, self._answers, self._child.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        return code
