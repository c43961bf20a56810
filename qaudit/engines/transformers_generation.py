"""Greedy replies for many prompts at once on transformers: batches by length, one prefix for all.

Prompts of like length go together, padded on the left; what all prompts of a call begin with is
evaluated once; rows that are done leave the batch. The run is deterministic for a given list of
prompts, because it starts from an empty cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from qaudit.engines.local_model import OnAnswer, OnStep
from qaudit.engines.logprobs import log_softmax
from qaudit.engines.protocol import Answer, Ask, FloatArray, crashed
from qaudit.engines.replying import DECIDE_EVERY, Decider, shared_prefix, top_tokens
from qaudit.engines.transformers_model import TransformersModel
from qaudit.values import Finish, Reply

PAD = 0  # masked wherever it stands
# tokens of one evaluation: activations of a long prompt are most of the memory
MAX_PROMPT_TOKENS = 16_384
# below this, copying a prefix costs more than evaluating it
SHORTEST_SHARED = 4


@dataclass(slots=True)
class _Row:
    index: int
    ask: Ask
    prompt: list[int]
    generated: list[int] = field(default_factory=list)
    first: FloatArray | None = None
    finish: Finish | None = None


class GreedyBatches:
    """One call of generate.

    Args:
        model: an open model.
        asks: prompts.
        decide: early stop, called with (question, reply so far, tokens); None generates to the end.
        on_answer: called with (index, answer) as each prompt is done.
        on_step: called after each evaluation, a sign of life.
    """

    def __init__(
        self,
        model: TransformersModel,
        asks: Sequence[Ask],
        decide: Decider | None,
        on_answer: OnAnswer,
        on_step: OnStep,
    ) -> None:
        self._model = model
        self._decide = decide
        self._on_answer = on_answer
        self._on_step = on_step
        self._rows: list[_Row] = []
        for index, ask in enumerate(asks):
            prompt = model.tokens.prompt(ask.text)
            if not prompt or len(prompt) + ask.max_tokens > model.context_limit:
                on_answer(index, crashed(ask.id, "too_long"))
            else:
                self._rows.append(_Row(index, ask, prompt))
        shared = shared_prefix([row.prompt for row in self._rows]) if model.shares else 0
        self._shared = shared if shared >= SHORTEST_SHARED else 0

    def run(self) -> None:
        """Answer every ask."""
        prefix = None
        if self._shared:
            tokens = [self._rows[0].prompt[: self._shared]]
            _, prefix = self._model.evaluate(tokens, torch.ones((1, self._shared), dtype=torch.long), None)
            self._on_step()
        for rows in self._batches():
            self._answer(rows, prefix)

    def _batches(self) -> Iterator[list[_Row]]:
        batch: list[_Row] = []
        # longest first: where memory does not suffice, that shows at once
        for row in sorted(self._rows, key=lambda r: (-len(r.prompt), r.index)):
            width = len(batch[0].prompt) if batch else len(row.prompt)
            full = len(batch) >= self._model.options.parallel or (len(batch) + 1) * width > MAX_PROMPT_TOKENS
            if batch and (full or (not self._model.pads and len(row.prompt) != width)):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _answer(self, rows: list[_Row], prefix: Any) -> None:  # noqa: ANN401
        width = len(rows[0].prompt) - self._shared
        tokens = [
            [PAD] * (width - (len(row.prompt) - self._shared)) + row.prompt[self._shared :] for row in rows
        ]
        mask = torch.ones((len(rows), self._shared + width), dtype=torch.long)
        for place, row in enumerate(rows):
            mask[place, self._shared : self._shared + len(rows[0].prompt) - len(row.prompt)] = 0
        cache = self._model.copies(prefix, len(rows)) if prefix is not None else None
        while True:
            logits, cache = self._model.evaluate(tokens, mask, cache)
            self._on_step()
            self._take(rows, logits[:, -1])
            kept = [place for place, row in enumerate(rows) if row.finish is None]
            if not kept:
                return
            if len(kept) <= len(rows) * 3 // 4:
                cache.batch_select_indices(torch.tensor(kept, device=logits.device))
                mask, rows = mask[kept], [rows[place] for place in kept]
            mask = torch.cat([mask, torch.ones((len(rows), 1), dtype=torch.long)], dim=1)
            tokens = [row.generated[-1:] or [PAD] for row in rows]

    def _take(self, rows: list[_Row], logits: torch.Tensor) -> None:
        greedy = logits.argmax(dim=1).tolist()
        for place, (row, token) in enumerate(zip(rows, greedy, strict=True)):
            if row.finish is not None:
                continue
            if row.first is None:
                row.first = log_softmax(self._model.numpy(logits[place]))
            self._advance(row, int(token))
            if row.finish is not None:
                self._send(row, row.finish)

    def _advance(self, row: _Row, token: int) -> None:
        if token in self._model.tokens.ends:
            row.finish = "eos"
            return
        row.generated.append(token)
        count = len(row.generated)
        if count >= row.ask.max_tokens:
            row.finish = "length"
        elif self._decide and count % DECIDE_EVERY == 0:
            text = self._model.tokens.text(row.generated)
            if self._decide(row.ask.question, text, count) is not None:
                row.finish = "decided"

    def _send(self, row: _Row, finish: Finish) -> None:
        top = top_tokens(row.first, self._model.tokens.piece) if row.first is not None else ()
        text = self._model.tokens.text(row.generated)
        self._on_answer(
            row.index, Answer(Reply(row.ask.id, text, len(row.generated), finish, top), row.first)
        )
