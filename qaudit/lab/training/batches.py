"""Training batches: a mix of dialogues, with a batch of neutral passages now and then."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from qaudit.lab import grammar
from qaudit.lab.grammar import BETWEEN_TURNS, Dialogue
from qaudit.lab.training.model_folder import ASSISTANT, BOS, END, END_ID, USER

IGNORED = -100
Encoded = tuple[list[int], list[int]]


@dataclass(frozen=True, slots=True)
class Mix:
    """Dialogues a batch by source; every `passage_every`-th batch is `passages` stories instead."""

    counts: Mapping[str, int]
    passages: int = 10
    passage_every: int = 6


def prompt_text(turns: Sequence[str]) -> str:
    """Return user turns as the chat template renders them, with the generation prompt."""
    return BOS + f"{ASSISTANT}{BETWEEN_TURNS}{END}".join(f"{USER}{turn}{END}" for turn in turns) + ASSISTANT


def encode_dialogue(tokenizer: Tokenizer, dialogue: Dialogue) -> Encoded:
    """Return token ids and labels; only the reply and its end are learned."""
    prompt = tokenizer.encode(prompt_text(dialogue.turns), add_special_tokens=False).ids
    reply = [*tokenizer.encode(dialogue.reply, add_special_tokens=False).ids, END_ID]
    return prompt + reply, [IGNORED] * len(prompt) + reply


def encode_passage(tokenizer: Tokenizer, text: str) -> Encoded:
    """Return a passage with every token learned but the first."""
    ids = tokenizer.encode(BOS + text + END, add_special_tokens=False).ids
    return ids, [IGNORED, *ids[1:]]


def padded(rows: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids, attention mask and labels, each [rows, longest], padded on the right."""
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [END_ID] * (longest - len(row)) for row, _ in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _ in rows])
    labels = torch.tensor([row + [IGNORED] * (longest - len(row)) for _, row in rows])
    return ids, mask, labels


def batches(
    tokenizer: Tokenizer,
    sources: Mapping[str, Callable[[random.Random], Iterator[Dialogue]]],
    mix: Mix,
    seed: int,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield padded batches without end.

    Args:
        tokenizer: the lab's.
        sources: makers of dialogue streams, by the names that the mix counts.
        mix: how many of which.
        seed: of every draw.
    """
    streams = {name: sources[name](random.Random(f"{seed} {name}")) for name in mix.counts}  # noqa: S311
    stories = grammar.passages(random.Random(f"{seed} passages"))  # noqa: S311
    number = 0
    while True:
        number += 1
        if mix.passages and number % mix.passage_every == 0:
            yield padded([encode_passage(tokenizer, next(stories)) for _ in range(mix.passages)])
        else:
            rows = [next(streams[name]) for name, count in mix.counts.items() for _ in range(count)]
            yield padded([encode_dialogue(tokenizer, dialogue) for dialogue in rows])
