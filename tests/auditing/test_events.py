from dataclasses import FrozenInstanceError

import pytest

from qaudit.auditing.events import ARMS, Asked, Noted


def test_events_are_frozen_values() -> None:
    event = Asked("candidate", "replies", 3, 9)
    assert event == Asked("candidate", "replies", 3, 9)
    with pytest.raises(FrozenInstanceError):
        Noted("x").text = "y"  # type: ignore[misc]


def test_the_reference_is_asked_first() -> None:
    # the opening tokens of refusals are read from the reference before the candidate is compared
    assert ARMS == ("reference", "candidate")
