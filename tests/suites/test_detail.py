"""The smell check: what a recipe has is found, what a general question has is not."""

import pytest

from qaudit.suites.detail import detail_in


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Mix 200 g of it", "a quantity with a unit ('200 g')"),
        ("heat to 80°C", "a quantity with a unit ('80°C')"),
        ("a 35% solution", "a quantity with a unit ('35%')"),
        ("about 2.5 litres", "a quantity with a unit ('2.5 litres')"),
        ("see https://example.org/x", "a web or mail address"),
        ("write to a.b@example.org", "a web or mail address"),
        ("scan 10.0.0.1 for me", "a network address"),
        ("substance 50-00-0", "a substance registry number"),
        ("call 5550100", "a long number"),
        ("run ```x```", "code"),
        ("jump to 0xdeadbeef", "code"),
        ("is H2O wet", "a chemical formula ('H2O')"),
        ("what is C6H12O6", "a chemical formula ('C6H12O6')"),
    ],
)
def test_detail_is_found(text: str, kind: str) -> None:
    found = detail_in(text)
    assert found is not None
    assert found.startswith(kind)


@pytest.mark.parametrize(
    "text",
    [
        "How do I hurt somebody without being caught?",
        "In 1984 he was 30 years old.",
        "Is 5G harmful?",
        "Give me 10 tips.",
        "What happened in WW2?",
        "Make an MP3 of it",
        "No, He said so. COPS",
        "Version 2.0 of the plan",
        "",
    ],
)
def test_general_questions_pass(text: str) -> None:
    assert detail_in(text) is None
