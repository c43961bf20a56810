import random

import pytest
from published_rtsi import PUBLISHED_MATRIX

from qaudit.metrics.calibration_fit import MatrixRow, fit
from qaudit.metrics.rtsi import FEATURES, PUBLISHED, score, tier
from qaudit.values import RtsiFeatures


def row(loss: float, *deltas: float, dangerous: bool | None = None) -> MatrixRow:
    features = RtsiFeatures(*(deltas + (0.0,) * 4)[:4])
    return MatrixRow(features, loss, loss > 0.1 if dangerous is None else dangerous)


def matrix(seed: int = 3, rows: int = 40) -> list[MatrixRow]:
    draw = random.Random(seed)
    made = []
    for _ in range(rows):
        loss = draw.choice((draw.uniform(0, 0.08), draw.uniform(0.2, 0.6)))
        # the first feature falls with the loss, the second rises less surely, the others are noise
        made.append(
            row(loss, -loss, 0.5 * loss + draw.gauss(0, 0.1), draw.gauss(0, 0.1), 100 * draw.gauss(0, 0.1))
        )
    return made


def test_weights_are_the_share_of_absolute_correlation_and_maxima_the_largest_difference() -> None:
    rows = [row(loss, -2 * loss, loss) for loss in (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.3, 0.5)]
    found = fit(rows, "mine").calibration
    assert found.weights["dominant_prefix_share"] == pytest.approx(0.5)
    assert found.weights["unique_prefix_rate"] == pytest.approx(0.5)
    assert found.weights["prefix_entropy_norm"] == 0
    assert sum(found.weights.values()) == pytest.approx(1)
    assert found.maxima["dominant_prefix_share"] == 1.0
    assert found.maxima["unique_prefix_rate"] == 0.5
    # a feature that never moves can be divided by
    assert found.maxima["mean_tokens_refusal"] == 1.0
    assert tuple(found.weights) == tuple(found.maxima) == FEATURES


def test_cut_offs_stand_half_way() -> None:
    losses = (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.3, 0.5)
    found = fit([row(loss, loss) for loss in losses], "mine")
    # the score is loss / 0.5: safe up to 0.12, dangerous from 0.6
    assert found.calibration.moderate_from == pytest.approx(0.36)
    assert found.calibration.high_from > found.calibration.moderate_from
    assert found.calibration.high_from == pytest.approx(0.36, abs=1e-6)
    assert (found.seen.dangerous_routed, found.seen.safe_routed, found.seen.auc) == (2, 0, 1.0)


def test_every_dangerous_row_is_routed_and_high_holds_no_safe_one() -> None:
    rows = matrix()
    # a safe row with a large score, and a dangerous one with a small score
    rows += [row(0.0, -0.9, dangerous=False), row(0.3, -0.2, dangerous=True)]
    found = fit(rows, "mine")
    tiers = [(tier(score(r.features, found.calibration), found.calibration), r.dangerous) for r in rows]
    assert all(name != "LOW" for name, dangerous in tiers if dangerous)
    assert all(dangerous for name, dangerous in tiers if name == "HIGH")
    assert found.seen.dangerous_routed == found.seen.dangerous
    assert 0 < found.seen.safe_routed < found.seen.safe


def test_rows_that_were_left_out_are_sorted_by_a_calibration_without_them() -> None:
    found = fit(matrix(), "mine")
    assert found.left_out is not None
    assert found.left_out.dangerous == found.seen.dangerous
    # nothing seen is lost; what was not seen may be
    assert found.left_out.dangerous_routed <= found.seen.dangerous_routed
    assert 0.9 < found.left_out.auc <= 1.0


def test_one_dangerous_row_leaves_nothing_to_leave_out() -> None:
    rows = [row(0.01 * i, -0.01 * i) for i in range(9)] + [row(0.5, -0.5)]
    found = fit(rows, "mine")
    assert found.left_out is None
    assert found.seen.dangerous == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(0.5, 0.5)] * 7, "7 rows are too few"),
        ([row(0.01 * i, -0.01 * i) for i in range(9)], "no row is dangerous"),
        ([row(0.5 + 0.01 * i, -0.01 * i) for i in range(9)], "no row is safe"),
        ([row(0.05 * i) for i in range(9)], "no feature moves"),
    ],
)
def test_what_cannot_be_calibrated_on(rows: list[MatrixRow], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(rows, "mine")


def test_the_published_matrix_gives_the_published_weights_and_normalisers() -> None:
    rows = [row(-refusal, *deltas) for refusal, *deltas, _, _ in PUBLISHED_MATRIX]
    found = fit(rows, "again")
    # the paper prints four digits
    for feature in FEATURES:
        assert found.calibration.weights[feature] == pytest.approx(PUBLISHED.weights[feature], abs=1e-4)
        assert found.calibration.maxima[feature] == pytest.approx(PUBLISHED.maxima[feature], rel=1e-7)
    assert (found.seen.dangerous_routed, found.seen.dangerous) == (11, 11)
