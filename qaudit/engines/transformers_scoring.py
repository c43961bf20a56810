"""Log-probabilities of given text on transformers: choices after a prompt, and passages."""

import numpy as np
import torch

from qaudit.engines.local_model import OnStep
from qaudit.engines.logprobs import log_softmax
from qaudit.engines.protocol import ChoiceAsk, ChoiceScore, FloatArray, PassageAsk, PassageScore
from qaudit.engines.replying import READ_POSITIONS, evenly_spaced
from qaudit.engines.transformers_generation import PAD
from qaudit.engines.transformers_model import TransformersModel
from qaudit.errors import EngineFailure


def score_choices(model: TransformersModel, ask: ChoiceAsk, on_step: OnStep) -> ChoiceScore:
    """Score every choice; the prompt is evaluated once and copied.

    Raises:
        EngineFailure: the ask does not fit in the context, or has no choices or an empty one.
    """
    prompt = model.tokens.prompt(ask.text)
    choices = [model.tokens.prompt(choice) for choice in ask.choices]
    longest = max((len(c) for c in choices), default=0)
    if not prompt or len(prompt) + longest > model.context_limit:
        raise EngineFailure(
            f"{ask.id}: the question with its longest choice has {len(prompt) + longest} tokens, more than "
            f"{model.context_limit}; shorten the item"
        )
    if not choices or not all(choices):
        raise EngineFailure(f"{ask.id}: needs at least one choice, and none empty")
    opened, cache = model.evaluate([prompt], torch.ones((1, len(prompt)), dtype=torch.long), None)
    on_step()
    opening = log_softmax(model.numpy(opened[0, -1]))
    totals = [float(opening[choice[0]]) for choice in choices]
    # the last token of a choice predicts nothing that is wanted
    waiting = [(index, choice) for index, choice in enumerate(choices) if len(choice) > 1]
    at_once = max(1, min(model.options.parallel, READ_POSITIONS // max(1, longest - 1)))
    for start in range(0, len(waiting), at_once):
        wave = waiting[start : start + at_once]
        width = max(len(choice) for _, choice in wave) - 1
        # padding stands behind, where nothing that is read can see it
        tokens = [choice[:-1] + [PAD] * (width - len(choice) + 1) for _, choice in wave]
        mask = torch.ones((len(wave), len(prompt) + width), dtype=torch.long)
        logits, _ = model.evaluate(tokens, mask, model.copies(cache, len(wave)), last_only=False)
        on_step()
        for row, (index, choice) in enumerate(wave):
            logprobs = log_softmax(model.numpy(logits[row, : len(choice) - 1]))
            totals[index] += sum(float(logprobs[place, token]) for place, token in enumerate(choice[1:]))
    return ChoiceScore(ask.id, tuple(totals), tuple(len(choice) for choice in choices))


def read_passage(model: TransformersModel, ask: PassageAsk, on_step: OnStep) -> PassageScore:
    """Read one passage from an empty cache.

    Raises:
        EngineFailure: the passage has fewer than two tokens or does not fit.
    """
    tokens = model.tokens.passage(ask.text)
    if len(tokens) < 2:
        raise EngineFailure(f"{ask.id}: a passage needs at least two tokens")
    if len(tokens) > model.context_limit:
        raise EngineFailure(
            f"{ask.id}: the passage has {len(tokens)} tokens, more than {model.context_limit}; shorten it"
        )
    following = tokens[1:]
    kept = set(evenly_spaced(len(following), ask.positions))
    token_logprobs = np.empty(len(following), np.float32)
    full: list[FloatArray] = []
    cache = None
    for start in range(0, len(following), READ_POSITIONS):
        stop = min(start + READ_POSITIONS, len(following))
        mask = torch.ones((1, stop), dtype=torch.long)
        logits, cache = model.evaluate([tokens[start:stop]], mask, cache, last_only=False)
        on_step()
        rows = log_softmax(model.numpy(logits[0]))
        token_logprobs[start:stop] = rows[np.arange(len(rows)), following[start:stop]]
        # copies: a view would keep the whole block of rows alive
        full.extend(rows[place].copy() for place in range(len(rows)) if start + place in kept)
    return PassageScore(ask.id, token_logprobs, np.stack(full))
