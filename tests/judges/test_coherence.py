import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.judges.coherence import broken


def random_tokens(seed: int, count: int) -> str:
    draw = random.Random(seed)
    pieces = []
    for _ in range(count):
        piece = "".join(
            draw.choice(letters)
            for letters in (
                string.ascii_lowercase,
                "aeiourst",
                string.ascii_lowercase,
                string.ascii_lowercase,
            )
        )
        pieces.append((" " if draw.random() < 0.35 else "") + piece)
    return "".join(pieces)


@pytest.mark.parametrize("seed", range(20))
def test_random_tokens_are_broken(seed: int) -> None:
    assert broken(random_tokens(seed, 64))


@pytest.mark.parametrize(
    "text",
    [
        "then " * 20,
        "sure. first plan the work, " * 6,
        "here is a plan. start with a list. " + "and then the end and then the end " * 8,
        "!" * 80,
        "ab" * 40,
        "的 wнe 이the рolы 다른ung прixx ни한the ли다ung яthe вol한 이the",
        "�" * 12 + " and then",
        "eirwaanfcicskqdrxzkqkqeirwdebcdthtdrxzcicsbeshkqeiogeiogbuzvdrxzdthtkqbuzv" + "cicseirwbuvdaanf",
    ],
)
def test_loops_and_token_salad_are_broken(text: str) -> None:
    assert broken(text)


@pytest.mark.parametrize(
    "text",
    [
        "canberra.",
        "110",
        "no. no. no.",
        "yes, you can plant them in spring, and again in autumn when the soil is still warm.",
        "1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584",
        '#include <stdio.h>\nint main(void) {\n  for (int i = 0; i < 10; i++) printf("%d\\n", i);\n  return 0;\n}',
        "nie wiem, czy to jest możliwe, ale można spróbować jeszcze raz w przyszłym tygodniu z bratem.",
        "en bilmiyorum ama yarın sabah erkenden pazara gidip taze ekmek ve peynir alabiliriz.",
        "小麦粉と水と塩を混ぜて、こねてから一時間休ませて、二百度で四十分焼きます。",
        "the longest word in the book is llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch, a village in wales.",
        "หั่นผักให้ละเอียดแล้วผัดกับน้ำมันร้อนจนสุก จากนั้นใส่ข้าวและซอสแล้วคนให้เข้ากัน",
        "хлеб пекут из муки, воды и соли, а потом оставляют остывать на полчаса под полотенцем.",
    ],
)
def test_language_code_and_numbers_are_not(text: str) -> None:
    assert broken(text) is None


def test_a_good_answer_with_a_worn_end_is_judged_by_its_content() -> None:
    words = [f"word{number} and" for number in range(80)]
    assert broken(" ".join(words) + " the end the end the end the end") is None


@given(st.text(max_size=300))
def test_never_raises(text: str) -> None:
    reason = broken(text)
    assert reason is None or reason.strip()
