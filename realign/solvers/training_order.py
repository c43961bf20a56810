"""In which order, and at which share of its highest rate, training takes its steps."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")


def endless(items: Sequence[Item], order: Callable[[int], Sequence[int]]) -> Iterator[Item]:
    """Yield items in an order that is drawn anew each time all have been through; nothing of none.

    Args:
        items: to yield.
        order: so many places in a drawn order.
    """
    while items:
        for place in order(len(items)):
            yield items[place]


def permutations(seed: int) -> Callable[[int], Sequence[int]]:
    """Return one permutation after another, drawn by a generator of torch's."""
    draw = torch.Generator().manual_seed(seed)

    def order(count: int) -> Sequence[int]:
        places: list[int] = torch.randperm(count, generator=draw).tolist()
        return places

    return order


def rate_share(step: int, rising: float, angle: float) -> float:
    """Return the share of the highest rate: it rises with the steps and falls by a cosine.

    Args:
        step: from 0.
        rising: steps until the rise is over.
        angle: of the cosine, 0 at the beginning of all training and pi at its end.
    """
    return min(1.0, (step + 1) / rising) * 0.5 * (1 + math.cos(angle))
