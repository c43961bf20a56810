"""Log-probabilities of given text: choices after a prompt, and passages read from end to end."""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from qaudit.engines.llamacpp import SHARED_SEQUENCE, LlamaModel
from qaudit.engines.logprobs import log_softmax
from qaudit.engines.protocol import ChoiceAsk, ChoiceScore, FloatArray, PassageAsk, PassageScore
from qaudit.engines.replying import READ_POSITIONS, evenly_spaced
from qaudit.errors import EngineFailure


def score_choices(model: LlamaModel, ask: ChoiceAsk, on_step: Callable[[], None]) -> ChoiceScore:
    """Score every choice; the prompt is evaluated once and copied.

    Raises:
        EngineFailure: the ask does not fit in the context, or has no choices or an empty one.
    """
    prompt = model.tokenize(ask.text)
    continuations = [model.tokenize_continuation(choice) for choice in ask.choices]
    longest = max((len(c) for c in continuations), default=0)
    if not prompt or len(prompt) + longest > model.context_limit:
        raise EngineFailure(
            f"{ask.id}: the question with its longest choice has {len(prompt) + longest} tokens, more than "
            f"{model.context_limit}; shorten the item"
        )
    if not continuations or not all(continuations):
        raise EngineFailure(f"{ask.id}: needs at least one choice, and none empty")
    model.reserve(len(prompt) + longest)
    model.clear()
    opening = _feed_prompt(model, prompt, on_step)
    totals = [float(opening[c[0]]) for c in continuations]
    # the last token of a choice predicts nothing that is wanted
    feeds = [(i, c) for i, c in enumerate(continuations) if len(c) > 1]
    for start in range(0, len(feeds), model.options.parallel):
        wave = feeds[start : start + model.options.parallel]
        for sequence in range(1, len(wave) + 1):
            model.forget(sequence)
            model.copy(SHARED_SEQUENCE, sequence)
        _feed_wave(model, wave, len(prompt), totals, on_step)
    return ChoiceScore(ask.id, tuple(totals), tuple(len(c) for c in continuations))


def _feed_prompt(model: LlamaModel, prompt: Sequence[int], on_step: Callable[[], None]) -> FloatArray:
    """Evaluate the prompt in the shared sequence; return float32 [V], what it predicts next."""
    position = 0
    while True:
        piece = prompt[position : position + model.room]
        last = position + len(piece) == len(prompt)
        model.add(piece, position, SHARED_SEQUENCE, logits="last" if last else "none")
        logits = model.decode()
        on_step()
        if last:
            return log_softmax(logits[0])
        position += len(piece)


def _feed_wave(
    model: LlamaModel,
    wave: Sequence[tuple[int, list[int]]],
    position: int,
    totals: list[float],
    on_step: Callable[[], None],
) -> None:
    """Add to `totals` the log-probabilities of the second and later tokens of each choice in the wave."""
    pieces = [
        (index, sequence, start, tokens[start : start + READ_POSITIONS + 1])
        for sequence, (index, tokens) in enumerate(wave, start=1)
        for start in range(0, len(tokens) - 1, READ_POSITIONS)
    ]
    waiting = deque(pieces)
    while waiting:
        fed: list[tuple[int, int]] = []
        # not all at once: logits over a large vocabulary are most of the memory
        while waiting and len(fed) + len(waiting[0][3]) - 1 <= READ_POSITIONS:
            index, sequence, start, tokens = waiting.popleft()
            model.add(tokens[:-1], position + start, sequence, logits="all")
            fed += [(index, token) for token in tokens[1:]]
        logprobs = log_softmax(model.decode())
        on_step()
        for row, (index, token) in enumerate(fed):
            totals[index] += float(logprobs[row, token])


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
        # copies: a view would keep the whole block of rows alive
        full.extend(rows[i].copy() for i in range(len(rows)) if start + i in kept)
    return PassageScore(ask.id, token_logprobs, np.stack(full))
