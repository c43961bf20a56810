import numpy as np
import pytest

from qaudit.probes import quality
from qaudit.probes.quality import choice_asks, passage_asks, reading_figures
from qaudit.values import Item, Suite


def suite(expectation: str, items: tuple[Item, ...]) -> Suite:
    return Suite("s", "1", "Apache-2.0", expectation, "0" * 64, items)  # type: ignore[arg-type]


def test_choices_travel_with_their_rendered_question() -> None:
    suites = [suite("choose", (Item("a", "c", ("q",), ("x", "y"), 1), Item("b", "c", ("r",), ("x", "y"), 0)))]
    asks = choice_asks(suites, {"s/a": "<user>q"})
    assert [(a.id, a.text, a.choices) for a in asks] == [("s/a", "<user>q", ("x", "y"))]


def test_positions_shrink_with_the_vocabulary_and_never_vanish() -> None:
    suites = [suite("read", tuple(Item(str(i), "c", ("text",)) for i in range(20)))]
    small, large, huge = (passage_asks(suites, v)[0].positions for v in (1000, 150_000, 10**9))
    assert small * 4 * 1000 * 20 <= quality.READING_BYTES
    assert small > large >= huge == quality.FEWEST_POSITIONS
    assert passage_asks([suite("choose", ())], 1000) == []


def test_a_broken_position_never_agrees() -> None:
    broken = np.full((2, 3), np.nan, np.float32)
    figures = reading_figures(np.zeros((2, 3), np.float32), broken)
    assert figures["agreed"] == 0


def test_reading_figures() -> None:
    reference = np.log(np.array([[0.5, 0.5], [0.9, 0.1]], np.float32))
    candidate = np.log(np.array([[0.5, 0.5], [0.1, 0.9]], np.float32))
    figures = reading_figures(reference, candidate)
    assert figures["agreed"] == 1
    assert figures["kl_nats"] == pytest.approx([0.0, 0.8 * np.log(9)], rel=1e-5, abs=1e-9)
