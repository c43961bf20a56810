"""Greedy replies for many prompts at once: continuous batching over llama.cpp sequences.

The prefix that all prompts share is evaluated once and copied; a sequence that ends makes room for
the next prompt in the same step. The run is deterministic for a given list of prompts, because it
starts from an empty memory and admits prompts in order.
"""

import codecs
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from qaudit.engines.llamacpp import SHARED_SEQUENCE, LlamaModel
from qaudit.engines.logprobs import log_softmax
from qaudit.engines.protocol import Answer, Ask, FloatArray, crashed
from qaudit.engines.replying import DECIDE_EVERY, Decider, shared_prefix, top_tokens
from qaudit.values import Finish, Reply

# a character cut between two tokens waits for its end, so that early stop reads what the report will hold
_UTF8 = codecs.getincrementaldecoder("utf-8")


@dataclass(slots=True)
class _Running:
    index: int
    ask: Ask
    sequence: int
    waiting: list[int]  # prompt tokens not fed yet, or the one token just generated
    position: int
    generated: list[int] = field(default_factory=list)
    text: str = ""
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: _UTF8("replace"))
    first: FloatArray | None = None


class GreedyRun:
    """One call of generate: feeds, reads, finishes.

    Args:
        model: an open model.
        asks: prompts, answered in this order of admission.
        decide: early stop, called with (question, reply so far, tokens); None generates to the end.
        on_answer: called with (index, answer) as each prompt is done.
        on_step: called after each decode, a sign of life.
    """

    def __init__(
        self,
        model: LlamaModel,
        asks: Sequence[Ask],
        decide: Decider | None,
        on_answer: Callable[[int, Answer], None],
        on_step: Callable[[], None],
    ) -> None:
        self._model = model
        self._decide = decide
        self._on_answer = on_answer
        self._on_step = on_step
        self._pending: deque[tuple[int, Ask, list[int]]] = deque()
        for index, ask in enumerate(asks):
            tokens = model.tokenize(ask.text)
            if not tokens or len(tokens) + ask.max_tokens > model.context_limit:
                on_answer(index, crashed(ask.id, "too_long"))
            else:
                self._pending.append((index, ask, tokens))
        model.reserve(max((len(tokens) + ask.max_tokens for _, ask, tokens in self._pending), default=0))
        self._shared = shared_prefix([tokens for _, _, tokens in self._pending])
        self._free = list(range(model.options.parallel, 0, -1))
        self._running: list[_Running] = []

    def run(self) -> None:
        """Answer every ask."""
        self._model.clear()
        self._feed_shared_prefix()
        while self._pending or self._running:
            self._admit()
            outputs = self._fill()
            logits = self._model.decode()
            self._on_step()
            # one pass over the step's logits finds every sequence's greedy token
            greedy = logits.argmax(axis=1).tolist()
            for row, running in enumerate(outputs):
                self._take(running, int(greedy[row]), logits[row])
            self._running = [r for r in self._running if r.sequence]

    def _feed_shared_prefix(self) -> None:
        tokens = self._pending[0][2][: self._shared] if self._pending else []
        position = 0
        while position < len(tokens):
            piece = tokens[position : position + self._model.room]
            self._model.add(piece, position, SHARED_SEQUENCE, logits="none")
            self._model.decode()
            self._on_step()
            position += len(piece)

    def _admit(self) -> None:
        while self._free and self._pending:
            index, ask, tokens = self._pending.popleft()
            sequence = self._free.pop()
            if self._shared:
                self._model.copy(SHARED_SEQUENCE, sequence)
            self._running.append(_Running(index, ask, sequence, tokens[self._shared :], self._shared))

    def _fill(self) -> list[_Running]:
        # sequences that generate come first: one token each; prompts fill what room is left
        outputs = []
        for running in sorted(self._running, key=lambda r: not r.generated):
            piece = running.waiting[: self._model.room]
            if not piece:
                break
            done = len(piece) == len(running.waiting)
            self._model.add(piece, running.position, running.sequence, logits="last" if done else "none")
            running.position += len(piece)
            running.waiting = running.waiting[len(piece) :]
            if done:
                outputs.append(running)
        return outputs

    def _take(self, running: _Running, token: int, logits: FloatArray) -> None:
        if running.first is None:
            running.first = log_softmax(logits)
        if self._model.is_end(token):
            running.text += running.decoder.decode(b"", final=True)
            self._finish(running, "eos")
            return
        running.generated.append(token)
        running.text += running.decoder.decode(self._model.piece(token))
        running.waiting = [token]
        count = len(running.generated)
        if count >= running.ask.max_tokens:
            self._finish(running, "length")
        elif (
            self._decide
            and count % DECIDE_EVERY == 0
            and self._decide(running.ask.question, running.text, count) is not None
        ):
            self._finish(running, "decided")

    def _finish(self, running: _Running, finish: Finish) -> None:
        top = top_tokens(running.first, self._piece) if running.first is not None else ()
        reply = Reply(running.ask.id, running.text, len(running.generated), finish, top)
        self._on_answer(running.index, Answer(reply, running.first))
        self._model.forget(running.sequence)
        self._free.append(running.sequence)
        running.sequence = 0

    def _piece(self, token: int) -> str:
        return self._model.piece(token).decode(errors="replace")
