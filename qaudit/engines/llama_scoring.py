"""Log-probabilities of given text: choices after a prompt, and passages read from end to end."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from qaudit.engines.llamacpp import BATCH_TOKENS, LlamaModel
from qaudit.engines.logprobs import log_softmax
from qaudit.engines.protocol import ChoiceAsk, ChoiceScore, FloatArray, PassageAsk, PassageScore
from qaudit.errors import EngineFailure

READ_POSITIONS = 64


def score_choices(
    model: LlamaModel, asks: Sequence[ChoiceAsk], on_step: Callable[[], None]
) -> list[ChoiceScore]:
    """Score every choice of every ask; the prompt is evaluated once per ask and copied.

    Raises:
        EngineFailure: an ask does not fit in the context, or has more choices than sequences.
    """
    return [_score_one(model, ask, on_step) for ask in asks]


def _score_one(model: LlamaModel, ask: ChoiceAsk, on_step: Callable[[], None]) -> ChoiceScore:
    prompt = model.tokenize(ask.text)
    continuations = [model.tokenize_continuation(choice) for choice in ask.choices]
    longest = max((len(c) for c in continuations), default=0)
    if not prompt or len(prompt) + longest > min(model.context_limit, BATCH_TOKENS):
        raise EngineFailure(
            f"{ask.id}: the question and its choices are longer than the context; shorten the item"
        )
    if any(not c for c in continuations) or not 1 <= len(continuations) < model.options.parallel:
        raise EngineFailure(f"{ask.id}: needs between 1 and {model.options.parallel - 1} choices, none empty")
    model.reserve(len(prompt) + longest)
    model.clear()
    source = 1
    model.add(prompt, 0, source, logits="last")
    opening = log_softmax(model.decode()[0])
    on_step()
    totals = [float(opening[c[0]]) for c in continuations]
    for index in range(1, len(continuations)):
        model.copy(source, source + index)
    # the last token of a choice predicts nothing that is wanted
    feeds = [(i, c) for i, c in enumerate(continuations) if len(c) > 1]
    for group in _groups_that_fit(feeds):
        for index, tokens in group:
            model.add(tokens[:-1], len(prompt), source + index, logits="all")
        logprobs = log_softmax(model.decode())
        on_step()
        row = 0
        for index, tokens in group:
            for token in tokens[1:]:
                totals[index] += float(logprobs[row, token])
                row += 1
    return ChoiceScore(ask.id, tuple(totals), tuple(len(c) for c in continuations))


def _groups_that_fit(feeds: Sequence[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
    group: list[tuple[int, list[int]]] = []
    filled = 0
    for index, tokens in feeds:
        if group and filled + len(tokens) - 1 > BATCH_TOKENS:
            yield group
            group, filled = [], 0
        group.append((index, tokens))
        filled += len(tokens) - 1
    if group:
        yield group


def read_passage(model: LlamaModel, ask: PassageAsk, on_step: Callable[[], None]) -> PassageScore:
    """Read one passage from an empty memory.

    Raises:
        EngineFailure: the passage has fewer than two tokens or does not fit.
    """
    tokens = model.tokenize(ask.text)
    if len(tokens) < 2:
        raise EngineFailure(f"{ask.id}: a passage needs at least two tokens")
    if len(tokens) > model.context_limit:
        raise EngineFailure(
            f"{ask.id}: the passage has {len(tokens)} tokens, more than {model.context_limit}; shorten it"
        )
    model.reserve(len(tokens))
    model.clear()
    following = np.asarray(tokens[1:])
    kept = set(evenly_spaced(len(following), ask.positions))
    token_logprobs = np.empty(len(following), np.float32)
    full: list[FloatArray] = []
    # a few positions at a time: logits over a large vocabulary are most of the memory
    for start in range(0, len(following), READ_POSITIONS):
        model.add(tokens[start : min(start + READ_POSITIONS, len(following))], start, 1, logits="all")
        rows = log_softmax(model.decode())
        on_step()
        token_logprobs[start : start + len(rows)] = rows[
            np.arange(len(rows)), following[start : start + len(rows)]
        ]
        full.extend(rows[i] for i in range(len(rows)) if start + i in kept)
    return PassageScore(ask.id, token_logprobs, np.stack(full))


def evenly_spaced(length: int, count: int) -> list[int]:
    """Return at most `count` (at least one) indices spread over range(length), ascending, distinct."""
    count = max(1, min(count, length))
    return sorted({round(i) for i in np.linspace(0, length - 1, count)})
