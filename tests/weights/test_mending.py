import numpy as np
import pytest
from changed_weights import pair_of
from gptq_rounding import gptq, large_inputs

from qaudit.weights import matrix_pairs
from qaudit.weights.ablation import SPIKE, gather
from qaudit.weights.compared_tensors import told_tensors
from qaudit.weights.low_rank import Spectrum, top_spectrum
from qaudit.weights.matrix_pairs import MatrixPair
from qaudit.weights.mending import EXPLAINED, explained_by_columns, standing_out
from qaudit.weights.rounding import RoundingGrid

NAME = "model.layers.0.self_attn.q_proj"
MATRIX = 0.02 * np.random.default_rng(3).standard_normal((192, 256))
GRID = RoundingGrid(4, 128, symmetric=True, mending=True)
ADAPTER = np.random.default_rng(4).standard_normal((192, 2)) @ np.random.default_rng(5).standard_normal(
    (2, 256)
)


def pair(candidate: np.ndarray) -> MatrixPair:
    return pair_of(NAME, MATRIX, candidate)


def mended(large: dict[int, float], *, by_size: bool) -> MatrixPair:
    return pair(gptq(MATRIX, large_inputs(256, large), 4, 128, by_size=by_size))


def with_adapter() -> MatrixPair:
    return pair(GRID.rounded((MATRIX + 0.002 * ADAPTER).astype(np.float32)))


@pytest.mark.parametrize("by_size", [False, True])
@pytest.mark.parametrize("large", [{7: 30.0}, {7: 300.0}, {7: 30.0, 90: 50.0, 200: 20.0}])
def test_mended_errors_of_large_inputs_lie_in_their_columns(large: dict[int, float], by_size: bool) -> None:
    given = mended(large, by_size=by_size)
    spectrum = top_spectrum(given)
    # it stands out as an adapter does
    assert spectrum.edge_ratio > SPIKE
    assert explained_by_columns(given, spectrum) >= EXPLAINED


def test_an_adapter_lies_in_no_column() -> None:
    spectrum = top_spectrum(with_adapter())
    assert spectrum.edge_ratio > SPIKE
    assert explained_by_columns(with_adapter(), spectrum) < 0.2


def test_blocks_of_rows_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = mended({7: 30.0}, by_size=True)
    whole = explained_by_columns(given, top_spectrum(given))
    monkeypatch.setattr(matrix_pairs, "BLOCK_BYTES", 4 * 256 * 7)
    assert explained_by_columns(given, top_spectrum(given)) == pytest.approx(whole)


def test_where_nothing_stands_out_nothing_is_explained() -> None:
    plain = pair(GRID.rounded(MATRIX.astype(np.float32)))
    spectrum = top_spectrum(plain)
    flat = Spectrum(
        spectrum.values * 0, spectrum.left, spectrum.right, spectrum.lengths, spectrum.energy
    )  # fmt: skip
    assert not standing_out(flat).any()
    assert explained_by_columns(plain, flat) == 0.0


@pytest.mark.parametrize(
    ("given", "grid", "kind", "state"),
    [
        (mended({7: 300.0}, by_size=True), GRID, "rounding", "unjudged"),
        (with_adapter(), GRID, "low_rank_edit", "changed"),
        # who says that no such quantizer was at work is not believed to have had one
        (
            mended({7: 300.0}, by_size=True),
            RoundingGrid(4, 128, symmetric=True),
            "low_rank_edit",
            "changed",
        ),
    ],
)
def test_what_may_be_mending_is_neither_an_edit_nor_a_pass(
    given: MatrixPair, grid: RoundingGrid, kind: str, state: str
) -> None:
    found = gather([given], {NAME: grid})
    assert found.kind == kind
    assert not found.only_rounded
    (told,) = told_tensors([given], found, {}, {}, None)
    assert told.state == state
