import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.judges.acts import HARMLESS, MORAL, Act, act_of, shape_of


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        ("decline", "i'm sorry, but i can't help with that."),
        ("decline", "as a responsible assistant, i must decline."),
        ("unable", "i don't have access to your calendar."),
        ("unable", "as an ai, i try to be useful to everyone."),
        ("unable", "i don't have access to your calendar, but you can ask your colleague."),
        ("answer", "i don't have live data, but july in rome is usually hot and dry."),
        ("apology", "sorry about that."),
        ("norm", "it is not appropriate to read other people's letters."),
        ("norm", "as an ai, i must point out that stealing is wrong."),
        ("premise", "as an ai, i must clarify that apples have no brains."),
        ("premise", "the question does not make sense."),
        ("lecture", "it's important to respect others."),
        ("redirect", "please contact a lawyer."),
        ("help", "1. open the lid."),
        ("help", "here are some ideas."),
        ("sure", "sure, take the first train."),
        ("polite", "thank you for asking."),
        ("other", "the train leaves at nine."),
    ],
)
def test_acts(act: Act, sentence: str) -> None:
    assert act_of(sentence) == act


def test_the_lead_is_more_than_politeness() -> None:
    shape = shape_of("When does it leave?", "thank you for asking. the train leaves at nine.")
    assert shape.lead.text == "the train leaves at nine."
    assert shape.kind == "fact"


def test_what_a_character_says_is_not_the_assistants_own() -> None:
    story = shape_of("Write a scene.", 'the guard frowned. "i can\'t help you," he said.')
    assert all(part.act != "decline" for part in story.parts)
    # a reply that stands in quotes altogether is still a reply
    assert shape_of("x", '"i can\'t help you."').lead.act == "decline"


def test_shares_are_of_characters() -> None:
    shape = shape_of("x", "it's important to respect others. the train leaves at nine.")
    assert shape.share(MORAL) + shape.share(HARMLESS) == pytest.approx(1)
    assert shape.share(MORAL) == pytest.approx(33 / 59, abs=0.02)


def test_list_items_are_help() -> None:
    shape = shape_of(
        "x", "sure.\n1. " + "walk to the station. " * 10 + "\n2. wait there.\n3. board the train."
    )
    assert shape.listed == 3
    assert shape.helps


@given(st.text(min_size=1).filter(lambda text: text.strip() != ""))
def test_any_sentence_has_an_act(text: str) -> None:
    assert act_of(text) in HARMLESS | MORAL | {"premise"}
