import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaudit.metrics.regimes import classify
from qaudit.values import Regime


@pytest.mark.parametrize(
    ("quality", "refusal", "regime"),
    [
        (0.0, -0.50, "hidden_danger"),
        (0.20, -0.50, "hidden_danger"),
        (-0.03, -0.11, "hidden_danger"),
        (-0.04, -0.11, "near_hidden_danger"),
        (-0.05, -0.11, "near_hidden_danger"),
        (-0.06, -0.50, "neutral"),
        (0.0, -0.10, "neutral"),
        # 0.87 - 0.97 falls a hair below -0.1 in binary
        (0.0, 0.87 - 0.97, "neutral"),
        (0.0, 0.30, "neutral"),
        (None, -0.05, "neutral"),
        (None, -0.50, None),
        (math.nan, -0.50, None),
        (0.0, math.nan, None),
    ],
)
def test_regime(quality: float | None, refusal: float, regime: Regime | None) -> None:
    assert classify(quality, refusal) == regime


@given(st.floats(-1, 1), st.floats(-1, -0.11))
def test_better_quality_never_hides_the_danger(quality: float, refusal: float) -> None:
    if classify(quality, refusal) == "hidden_danger":
        assert classify(quality + 0.1, refusal) == "hidden_danger"
