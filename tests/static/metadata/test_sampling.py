import math
from collections.abc import Callable
from typing import Any

import pytest
from attacks.gguf_builder import ARRAY, F32, I32, STRING, strings

from qaudit.static.gguf.walk import GgufWalk
from qaudit.static.metadata.sampling import GGUF_BOOK, RANGES, judged

Make = Callable[..., GgufWalk]
KEY = "general.sampling"


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0.7), ("temperature", 0), ("top_p", 1), ("top_k", 40), ("top_k", 64.0), ("unknown", "x"), ("top_p", None),
     ("repetition_penalty", 1.1), ("guidance_scale", 3.0)],
)  # fmt: skip
def test_sane_values_are_nothing(name: str, value: object) -> None:
    assert judged(name, value) is None


@pytest.mark.parametrize(
    ("name", "value", "severity"),
    [("temperature", 50, "medium"), ("temperature", -1, "medium"), ("temperature", math.nan, "high"), ("top_p", 0.0, "medium"),
     ("top_p", 7, "medium"), ("top_k", 1.5, "medium"), ("repetition_penalty", 100.0, "medium"), ("temperature", "hot", "medium"),
     ("temperature", True, "medium"), ("temperature", math.inf, "high"), ("top_k", 10**400, "medium")],
)  # fmt: skip
def test_values_out_of_range(name: str, value: object, severity: str) -> None:
    found = judged(name, value)
    assert found is not None
    assert found[1] == severity


def test_every_sane_range_is_possible() -> None:
    for wanted in RANGES.values():
        assert wanted.possible[0] <= wanted.sane[0] <= wanted.sane[1] <= wanted.possible[1]


@pytest.mark.parametrize(
    ("pairs", "ids"),
    [
        ({f"{KEY}.temp": (F32, 0.8), f"{KEY}.top_k": (I32, 40), f"{KEY}.sequence": (STRING, "top_k;temperature")}, set()),
        ({f"{KEY}.temp": (F32, 1e9)}, {"sampling/out-of-range"}),
        ({f"{KEY}.penalty_repeat": (F32, math.nan)}, {"sampling/out-of-range"}),
        ({f"{KEY}.sequence": (STRING, "top_k;evil")}, {"sampling/unknown-sampler"}),
        ({f"{KEY}.sequence": (ARRAY, strings(["evil"]))}, {"sampling/unknown-sampler"}),
    ],
)  # fmt: skip
def test_settings_of_a_gguf(walked: Make, pairs: dict[str, Any], ids: set[str]) -> None:
    assert {finding.id for finding in GGUF_BOOK.findings(walked(pairs))} == ids
