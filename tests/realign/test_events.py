"""Events are values: equal when they say the same, and not to be changed."""

from dataclasses import FrozenInstanceError
from typing import get_args

import pytest

pytest.importorskip("torch")

from realign.events import Event, Noted, Resumed


def test_events_are_values() -> None:
    assert Resumed("plain", 3) == Resumed("plain", 3) != Resumed("realigned", 3)
    with pytest.raises(FrozenInstanceError):
        Noted("x").text = "y"  # type: ignore[misc]
    assert {Noted, Resumed} < set(get_args(Event))
