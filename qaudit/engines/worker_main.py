"""The worker process: confines itself, loads one checkpoint, answers frames on its pipes.

Started by `qaudit.engines.worker` as `python -m qaudit.engines.worker_main IN OUT`, with the numbers of
two inherited pipe ends. It ends when its input does.
"""

import importlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from qaudit.confinement import Limits, confine
from qaudit.engines.frames import Header, read_frame, write_frame
from qaudit.engines.local_model import LocalModel, Opener
from qaudit.engines.prompt_tokens import open_vocabulary
from qaudit.engines.protocol import (
    Answer,
    Ask,
    ChoiceAsk,
    Conversation,
    EngineName,
    EngineOptions,
    PassageAsk,
)
from qaudit.engines.templates import render_conversations
from qaudit.errors import EngineFailure, OutOfMemory, QauditError
from qaudit.judges.judging import load_judge

SIGN_OF_LIFE_S = 1.0
# imported when asked for, and so after the process has confined itself
ENGINES: dict[EngineName, str] = {
    "llama.cpp": "qaudit.engines.llama_engine",
    "transformers": "qaudit.engines.transformers_engine",
}


class Worker:
    """Serves one parent over two streams; see `serve` for the operations."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests = requests
        self._answers = answers
        self._last_sign = 0.0
        self._model: LocalModel | None = None

    def serve(self) -> None:
        """Answer requests until the parent closes the pipe; errors go back as frames."""
        operations: dict[str, Callable[[Header], None]] = {
            "load": self._load,
            "render": self._render,
            "tokens": self._tokens,
            "generate": self._generate,
            "choose": self._choose,
            "read": self._read,
        }
        while (frame := read_frame(self._requests)) is not None:
            request, _ = frame
            try:
                operations[request["op"]](request)
            except (QauditError, MemoryError) as error:
                message = " ".join(str(error).split()) or "not enough memory"
                crowded = isinstance(error, OutOfMemory)
                write_frame(self._answers, {"kind": "error", "message": message, "crowded": crowded})
            else:
                write_frame(self._answers, {"kind": "done"})

    def _sign_of_life(self) -> None:
        now = time.monotonic()
        if now - self._last_sign > SIGN_OF_LIFE_S:
            self._last_sign = now
            write_frame(self._answers, {"kind": "alive"})

    def _load(self, request: Header) -> None:
        options = EngineOptions(**request["options"])
        open_model: Opener = importlib.import_module(ENGINES[request["engine"]]).open_model
        weights = request["weights"]
        self._model = open_model(Path(request["path"]), Path(weights) if weights else None, options)
        self._decide = load_judge(options.judge).decided if options.judge else None
        write_frame(
            self._answers,
            {"kind": "loaded", "info": asdict(self._model.info), "vocabulary": self._model.vocabulary},
        )

    def _loaded(self) -> LocalModel:
        if self._model is None:
            raise EngineFailure("no checkpoint is loaded")
        return self._model

    def _render(self, request: Header) -> None:
        conversations = [Conversation(c["id"], tuple(c["turns"])) for c in request["conversations"]]
        rendered = render_conversations(request["template"], conversations, request["special_tokens"])
        write_frame(self._answers, {"kind": "rendered", "items": [asdict(r) for r in rendered]})

    def _tokens(self, request: Header) -> None:
        vocabulary = open_vocabulary(Path(request["path"]), request["engine"])
        conversations = [Conversation(c["id"], tuple(c["turns"])) for c in request["conversations"]]
        items: list[Header] = []
        for rendered in render_conversations(request["template"], conversations, request["special_tokens"]):
            told = (
                {"error": rendered.error} if rendered.error else {"tokens": vocabulary.prompt(rendered.text)}
            )
            items.append(told)
            self._sign_of_life()
        write_frame(self._answers, {"kind": "tokens", "items": items, "ends": sorted(vocabulary.ends)})

    def _generate(self, request: Header) -> None:
        asks = [Ask(**{**ask, "turns": tuple(ask["turns"])}) for ask in request["asks"]]

        def send(index: int, answer: Answer) -> None:
            header = {"kind": "answer", "index": index, "reply": asdict(answer.reply)}
            write_frame(self._answers, header, answer.first_logprobs)

        self._loaded().generate(asks, self._decide, send, self._sign_of_life)

    def _choose(self, request: Header) -> None:
        for asked in request["asks"]:
            ask = ChoiceAsk(asked["id"], asked["text"], tuple(asked["choices"]))
            # each is sent at once, so that a death costs no score that was known
            score = self._loaded().choose(ask, self._sign_of_life)
            write_frame(self._answers, {"kind": "choice", **asdict(score)})

    def _read(self, request: Header) -> None:
        for ask in request["asks"]:
            score = self._loaded().read(PassageAsk(**ask), self._sign_of_life)
            write_frame(self._answers, {"kind": "tokens", "id": score.id}, score.token_logprobs)
            write_frame(self._answers, {"kind": "passage", "id": score.id}, score.logprobs)


def main() -> None:
    """Take the two pipes, confine, then serve."""
    with os.fdopen(int(sys.argv[1]), "rb") as requests, os.fdopen(int(sys.argv[2]), "wb") as answers:
        frame = read_frame(requests)
        if frame is None:
            return
        held = confine(Limits(**frame[0]["limits"]))
        write_frame(answers, {"kind": "confined", "held": held})
        write_frame(answers, {"kind": "done"})
        Worker(requests, answers).serve()


if __name__ == "__main__":
    main()
