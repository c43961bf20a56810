"""What a model itself says: greedy replies to prompts, and texts that it writes on its own.

Prompts of one length in tokens go through together, so that there is no padding: a reply is the same
whichever prompts stand beside it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from realign.activation_stream import token_batches
from realign.calibration_activations import ROWS_AT_ONCE

Tokens = tuple[int, ...]


@torch.no_grad()
def greedy_replies(
    model: Any,  # noqa: ANN401 - transformers is untyped
    prompts: Sequence[Sequence[int]],
    end_tokens: frozenset[int],
    longest: int,
) -> list[Tokens]:
    """Return the likeliest continuation of each prompt, token by token.

    Args:
        model: transformers model.
        prompts: token ids, rendered with the generation prompt.
        end_tokens: a reply ends with one of these, which it includes.
        longest: tokens after which a reply is cut.

    Raises:
        InputError: there is no prompt, or an empty one.
    """
    replies: list[Tokens] = [()] * len(prompts)
    for batch in token_batches(prompts):
        found = _continued(model, batch.tokens.to(model.device), longest, end_tokens, None)
        for row, reply in zip(batch.rows, found, strict=True):
            replies[row] = reply
    return replies


@torch.no_grad()
def own_texts(
    model: Any,  # noqa: ANN401
    opening: Sequence[int],
    end_tokens: frozenset[int],
    *,
    count: int,
    longest: int,
    seed: int,
) -> list[Tokens]:
    """Return texts drawn from a model's own distribution, each with its opening.

    Data-free calibration as in LLM-QAT (Liu et al., arXiv 2305.17888): what a model writes unasked is
    the text that it must go on modelling.

    Args:
        model: transformers model.
        opening: what every text begins with.
        end_tokens: a text ends with one of these, which it includes.
        count: of texts.
        longest: tokens after which a text is cut, without its opening.
        seed: of all draws.
    """
    draw = torch.Generator().manual_seed(seed)
    texts: list[Tokens] = []
    while len(texts) < count:
        rows = min(ROWS_AT_ONCE, count - len(texts))
        ids = torch.tensor([list(opening)] * rows, device=model.device)
        texts += [(*opening, *row) for row in _continued(model, ids, longest, end_tokens, draw)]
    return texts


def _continued(
    model: Any,  # noqa: ANN401
    ids: Tensor,
    longest: int,
    end_tokens: frozenset[int],
    draw: torch.Generator | None,
) -> list[Tokens]:
    """Return what follows each row [B, T]: the likeliest tokens, or drawn ones."""
    rows: list[list[int]] = [[] for _ in range(len(ids))]
    live = set(range(len(ids)))
    given, cache = ids, None
    for _ in range(longest):
        result = model(given, past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        logits = result.logits[:, -1].float()
        if draw is None:
            following = logits.argmax(dim=-1)
        else:
            # on the CPU, where a seed gives the same draws whatever the model runs on
            following = torch.multinomial(logits.softmax(dim=-1).cpu(), 1, generator=draw)[:, 0]
        for row in sorted(live):
            token = int(following[row])
            rows[row].append(token)
            if token in end_tokens:
                live.remove(row)
        if not live:
            break
        given = following[:, None].to(ids.device)
    return [tuple(row) for row in rows]
