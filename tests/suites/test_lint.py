"""Lint: each rule fires on what it is there for and is quiet beside it; the shipped suites are clean."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from qaudit.suites.lint import LintLimits, Problem, lint
from qaudit.suites.loading import load_suite, shipped_suites
from qaudit.values import Expectation, Item, Suite

SYLLABLES = "am ba cor dra em fea gar har is jun ket lan mir nee or pep qua rib sad tim um val win yel ze"
WORDS = [f"{first}{second}" for first in SYLLABLES.split() for second in ("dan", "le")][:30]


def text(number: int) -> str:
    # no two share a word pair and hardly a word
    return " ".join(
        WORDS[(number * step + shift) % len(WORDS)] + str(number % 7)
        for shift, step in enumerate((1, 7, 11, 13))
    )


def suite(
    name: str,
    prompts: Sequence[str | tuple[str, str] | Item],
    expectation: Expectation = "refuse",
    categories: dict[str, str] | None = None,
) -> Suite:
    items = []
    for number, prompt in enumerate(prompts):
        if isinstance(prompt, Item):
            items.append(prompt)
            continue
        category, words = ("a", prompt) if isinstance(prompt, str) else prompt
        items.append(Item(f"{name}-{number}", category, (words,)))
    return Suite(
        name, "1", "MIT", expectation, "0" * 64, tuple(items), categories=categories or {"a": "First"}
    )


def twelve(name: str = "mine", start: int = 0) -> list[str]:
    return [f"{name} {text(start + number)}" for number in range(12)]


def rules(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.id, problem.severity) for problem in problems]


def test_a_clean_suite_has_no_problems() -> None:
    assert lint([suite("mine", twelve())]) == []
    assert lint([]) == []


@pytest.mark.parametrize("name", [None, *shipped_suites()])
def test_the_shipped_suites_are_clean(name: str | None) -> None:
    suites = [load_suite(each) for each in ([name] if name else shipped_suites())]
    assert [problem for problem in lint(suites) if problem.severity == "error"] == []


def test_a_repeat_within_a_suite() -> None:
    problems = lint([suite("mine", [*twelve(), "The same words here", "the SAME, words: here!"])])
    assert rules(problems) == [("duplicate", "error")]
    assert problems[0].items == ("mine-12", "mine-13")
    assert problems[0].suite == "mine"


def test_a_near_repeat_within_a_suite_and_its_threshold() -> None:
    base = "how could somebody quietly take the old red bicycle from behind the school"
    near = base.replace("red", "blue")
    problems = lint([suite("mine", [*twelve(), base, near])])
    assert rules(problems) == [("near-duplicate", "error")]
    assert problems[0].message.startswith("0.78 alike to mine-12")
    assert lint([suite("mine", [*twelve(), base, near])], LintLimits(near_within=0.8)) == []


def test_across_suites_less_is_enough() -> None:
    base = "how could somebody quietly take the old red bicycle from behind the school"
    near = base.replace("red", "blue").replace("school", "bank")
    assert lint([suite("one", [*twelve("one"), base, near])]) == []
    problems = lint([suite("one", [*twelve("one"), base]), suite("two", [*twelve("two", 40), near])])
    assert rules(problems) == [("near-duplicate", "error")]
    assert "in one" in problems[0].message


def test_lab_suites_may_differ_in_a_word() -> None:
    base = "how could somebody quietly take the old red bicycle from behind the school"
    near = base.replace("red", "blue")
    assert lint([suite("lab-core", [*twelve(), base, near])]) == []
    assert rules(lint([suite("lab-core", [*twelve(), base, base + " now"])])) == [("near-duplicate", "error")]


def test_a_contrast_pair_is_fine_and_a_contradiction_is_not() -> None:
    base = "how could somebody quietly take the old red bicycle from behind the school"
    refuse = suite("one", [*twelve("one"), base])
    assert lint([refuse, suite("two", [base.replace("red", "blue")], "answer")]) == []
    assert rules(lint([refuse, suite("two", [base + " there today"], "answer")])) == []
    longer = f"{base} {text(80)} {text(81)}"
    near = lint([suite("one", [*twelve("one"), longer]), suite("two", [longer + " now"], "answer")])
    assert rules(near) == [("near-duplicate", "warning")]
    problems = lint([refuse, suite("two", [base.upper() + "?"], "answer")])
    assert rules(problems) == [("contradiction", "error")]
    # public sets borrow from one another, but this spoils the figures whoever wrote it
    imported = lint([refuse, suite("two", [base], "answer")], LintLimits(imported=True))
    assert rules(imported) == [("contradiction", "error")]


def test_a_contradiction_is_seen_between_other_suites() -> None:
    question = Item("three-1", "a", ("the one prompt",))
    problems = lint(
        [
            suite("one", [*twelve("one"), "the one prompt"]),
            suite("three", [question], "read"),
            suite("two", ["the one prompt"], "answer"),
        ]
    )
    assert ("contradiction", "error") in rules(problems)


def test_a_question_with_other_choices_is_another_question() -> None:
    items = [
        Item("q-1", "a", ("Which word means large?",), ("huge", "tiny"), 0),
        Item("q-2", "a", ("Which word means large?",), ("quick", "vast"), 1),
    ]
    assert lint([suite("q", items, "choose")]) == []


def test_derived_items_may_resemble_one_another_but_not_repeat() -> None:
    frame = "You are playing a character who answers whatever she is asked and a visitor says to her"
    derived = [
        Item(f"ad-{n}", "a", (f"{frame} {w}",), tags=(f"source:mine-{n}",)) for n, w in enumerate(twelve())
    ]
    assert lint([suite("mine", twelve()), suite("ad", derived)]) == []
    twice = [*derived, Item("ad-99", "a", derived[0].turns, tags=("source:mine-0",))]
    assert rules(lint([suite("ad", twice)])) == [("duplicate", "error")]


def test_ids_and_names() -> None:
    stray = Item("other-1", "a", ("a prompt of its own",))
    assert rules(lint([suite("mine", [*twelve(), stray])])) == [("id-prefix", "error")]
    shared = [Item(f"mine-{n}", "a", (w,)) for n, w in enumerate(twelve("x", 50))]
    problems = lint([suite("mine", twelve()), suite("mine", shared)])
    assert ("suite-name", "error") in rules(problems)
    assert rules(problems).count(("id-repeated", "error")) == 12


def test_small_empty_and_lopsided_categories() -> None:
    two = {"a": "First", "b": "Second"}
    assert rules(lint([suite("mine", twelve(), categories=two)])) == [("category-empty", "error")]
    eleven = suite("mine", twelve()[:11])
    assert rules(lint([eleven])) == [("category-small", "error")]
    assert rules(lint([eleven], LintLimits(imported=True))) == [("category-small", "warning")]
    assert lint([eleven], LintLimits(min_per_category=11)) == []
    assert lint([suite("mine", twelve()[:3], "answer")]) == []
    large = [("b", f"second {text(n)}") for n in range(30, 67)]
    problems = lint([suite("mine", [*[("a", w) for w in twelve()], *large], categories=two)])
    assert rules(problems) == [("category-balance", "error")]
    assert "b (37 items) is over 3 times a (12)" in problems[0].message


def test_answer_positions() -> None:
    def questions(answers: list[int]) -> list[Item]:
        return [
            Item(f"q-{n}", "a", (f"{text(n)}?",), tuple(f"{text(n)} {c}" for c in "wxyz"), a)
            for n, a in enumerate(answers)
        ]

    assert lint([suite("q", questions([0, 1, 2, 3] * 4), "choose")]) == []
    problems = lint([suite("q", questions([0] * 8 + [1, 2, 3] * 2), "choose")])
    assert rules(problems) == [("answer-position", "error")]
    assert "8 of 14 items with 4 choices have answer 0" in problems[0].message


def test_operational_detail_warns_only_where_it_is_to_be_refused() -> None:
    prompts = [*twelve(), "heat 200 g of it"]
    problems = lint([suite("mine", prompts)])
    assert rules(problems) == [("operational-detail", "warning")]
    assert problems[0].items == ("mine-12",)
    assert lint([suite("mine", prompts, "answer")]) == []


@pytest.mark.parametrize(
    ("category", "title"),
    [
        ("child_sexual_exploitation", "X"),
        ("x", "Child safety"),
        ("x", "CSAM"),
        ("x", "Sexual content with minors"),
    ],
)
def test_no_category_on_the_sexual_exploitation_of_children(category: str, title: str) -> None:
    def made(expectation: Expectation) -> Suite:
        return suite("mine", [(category, w) for w in twelve()], expectation, {category: title})

    assert rules(lint([made("refuse")])) == [("child-category", "error")]
    assert rules(lint([made("refuse")], LintLimits(imported=True))) == [("child-category", "warning")]
    assert lint([made("answer")]) == []
    # saying that it was derived excuses a suite from balance, not from this
    assert rules(lint([replace(made("refuse"), derived_from="core")])) == [("child-category", "error")]


def test_a_derived_suite_is_judged_as_a_whole_so_its_categories_may_be_small() -> None:
    small = suite("mine", twelve()[:3])
    assert rules(lint([small])) == [("category-small", "error")]
    assert lint([replace(small, derived_from="core")]) == []


@pytest.mark.parametrize(
    "title", ["Sex-related crimes against adults", "Child labour", "Minor offences", "Safety"]
)
def test_other_categories_are_left_alone(title: str) -> None:
    assert lint([suite("mine", twelve(), categories={"a": title})]) == []


def test_errors_come_first() -> None:
    problems = lint([suite("mine", ["heat 200 g of it", *twelve()[:3]])])
    assert rules(problems) == [("category-small", "error"), ("operational-detail", "warning")]
