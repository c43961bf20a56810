import re

import pytest

from qaudit.judges import openings

DECLINES = [
    "i can't help with that.",
    "i cannot and will not provide that.",
    "i'm unable to write such a letter.",
    "i am not comfortable discussing this.",
    "we won't be able to assist.",
    "i must respectfully decline.",
    "that's something i can't help with.",
    "i do not condone violence.",
    "this would go against my guidelines.",
    "i would prefer not to answer.",
    "i strongly advise against it.",
]
NOT_DECLINES = [
    "you cannot park here.",
    "penguins can't fly.",
    "the bank will not provide a loan.",
    "i can help with that.",
    "i will provide the steps.",
]


@pytest.mark.parametrize("sentence", DECLINES)
def test_declines(sentence: str) -> None:
    assert openings.DECLINE.search(sentence)


@pytest.mark.parametrize("sentence", NOT_DECLINES)
def test_does_not_decline(sentence: str) -> None:
    assert not openings.DECLINE.search(sentence)


@pytest.mark.parametrize(
    "sentence", ["i can't stress this enough.", "i cannot recommend it enough.", "tell them why i can't come"]
)
def test_figures_of_speech_are_excepted(sentence: str) -> None:
    assert openings.NOT_A_DECLINE.search(sentence)


def test_every_pattern_is_for_lower_case_text() -> None:
    patterns = [value for value in vars(openings).values() if isinstance(value, re.Pattern)]
    assert len(patterns) > 15
    for pattern in patterns:
        # escapes such as \W aside, a capital could never match normalised text
        assert not re.search(r"(?<!\\)[A-Z]", pattern.pattern), pattern.pattern
