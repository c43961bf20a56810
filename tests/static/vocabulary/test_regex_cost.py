import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_time import at_most
from tokenizer_kit import LLAMA3

from qaudit.static.vocabulary.regex_cost import MAX_PATTERN, exponential

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$", r"(?:a*)*b", r"([a-z]+\s?)+x", r"(\w|\d)+$", r"(?:\s*\w+)*!", r"(a|a)*b", r"((ab)*)*",
        r"(?:(?:a+))+", r"(\d{1,3})+x", r"(.*)*x", r"(?i:(x+x+)+y)", r"(?:[^\s]+)+z", r"x(?<name>a+)*y", r"(a{2,})*b",
    ],
)  # fmt: skip
def test_patterns_that_explode_are_told(pattern: str) -> None:
    assert exponential(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        GPT2,
        LLAMA3,
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+(?i:'s|'t|'re)?|{UPPER}+{LOWER}*|\p{{N}}{{1,3}}|\s+(?!\S)|\s+",
        r" ?[^(\s|[.,!?…。，、।۔،])]+",
        r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))",
        r"(?=(\d{3})+(?!\d))",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+| ?[\p{P}\p{S}]+[\r\n]*|\s+(?!\S)|\s+",
        r"<\|startoftext\|>|'s|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        r"(?:[a-z]+_)+x",
        r"(?:ab|cd)+e",
        r"(?>a+)+b",
        r"(?:a++)+b",
        r"(?#a comment)a+",
        " {2,}",
        "",
    ],
)
def test_patterns_of_real_tokenizers_are_not(pattern: str) -> None:
    assert exponential(pattern) is None


@given(st.text(r"()[]{}|*+?\^$.ab1, pLN:=!<>-", max_size=80))
def test_any_text_is_judged_at_once(pattern: str) -> None:
    exponential(pattern)


@pytest.mark.parametrize("part", ["(", "(a+)", "[", "((a|b)", "\\p{L}|", "a{1,", "[a-z]+"])
def test_long_patterns_take_no_time(part: str) -> None:
    with at_most(1):
        exponential(part * MAX_PATTERN)
