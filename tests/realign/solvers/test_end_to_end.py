"""A rounded model runs as its checkpoint would, and training end to end brings it to its teachers."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")

from tiny_llamas import END, prompts, tiny_llama  # noqa: E402

from realign.decoder_blocks import STAGES, module_name  # noqa: E402
from realign.greedy_replies import greedy_replies, own_texts  # noqa: E402
from realign.grids.grid import Grid  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.objective import Objective  # noqa: E402
from realign.solvers.end_to_end import RoundedModel, Span, mean_divergence, train_round  # noqa: E402
from realign.solvers.layer_training import Rates  # noqa: E402
from realign.solvers.rounded_matrix import RoundedMatrix  # noqa: E402
from realign.solvers.settled import Settled  # noqa: E402
from realign.solvers.taught_rows import TaughtKind, TaughtRows, rows_of, texts_of  # noqa: E402

GRID = GroupGrid(2, 32, symmetric=False)
ENDS = frozenset({END})
SPAN = Span(0, 40, 40)
RATES = Rates(weights=0.05, floats=1e-3)


def names(*, embeddings: bool = False) -> list[str]:
    linears = [module_name(number, name) for number in range(2) for stage in STAGES for name in stage.linears]
    return [*linears, *(["model.embed_tokens"] if embeddings else [])]


def begun(model: Any, modules: list[str]) -> RoundedModel:
    grids: dict[str, Grid] = dict.fromkeys(modules, GRID)
    matrices = {
        name: RoundedMatrix.searched(model.get_submodule(name).weight, GRID).settled() for name in modules
    }
    return RoundedModel(model, grids, Settled(matrices, {}))


def taught(model: Any) -> dict[TaughtKind, list[TaughtRows]]:
    malicious, benign = prompts(3, 8), prompts(4, 8)
    texts = own_texts(model, (1,), ENDS, count=6, longest=8, seed=0)
    return {
        "malicious": rows_of("malicious", malicious, greedy_replies(model, malicious, ENDS, 5), 4),
        "benign": rows_of("benign", benign, greedy_replies(model, benign, ENDS, 5), 4),
        "texts": texts_of(texts, 4),
    }


@pytest.mark.parametrize("tied", [False, True])
def test_its_logits_are_those_of_the_model_with_rounded_weights(tied: bool) -> None:
    model = tiny_llama(0, sharpness=3.0)
    if tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    rounded = begun(model, names(embeddings=True))
    batch = taught(model)["benign"][0]
    got = rounded.logits(rounded.parameters(), batch).detach()
    settled = rounded.settled()
    with torch.no_grad():
        for name, parts in settled.matrices.items():
            model.get_submodule(name).weight.copy_(GRID.encode(*parts).weight())
        meant = model(batch.rows.ids[:, :-1]).logits[batch.rows.follows]
    assert torch.allclose(got, meant, atol=1e-4)


@pytest.mark.parametrize("weights", [True, False])
def test_it_comes_closer_to_its_teachers(weights: bool) -> None:
    model = tiny_llama(0, sharpness=3.0)
    rows, teachers = taught(model), dict.fromkeys(("malicious", "benign", "texts"), model)
    rounded = begun(model, names(embeddings=True))
    before = mean_divergence(rounded, rows, teachers)
    floats = {name: value.detach().clone() for name, value in rounded.floats.items()}
    latent = {name: matrix.weight.detach().clone() for name, matrix in rounded.matrices.items()}
    train_round(rounded, rows, teachers, Objective(), RATES, SPAN, weights=weights, seed=0)
    after = mean_divergence(rounded, rows, teachers)
    assert before.keys() == after.keys()
    assert after["malicious.first_token"] < (0.5 if weights else 0.9) * before["malicious.first_token"]
    assert after["texts.replies"] < before["texts.replies"]
    moved = [
        not torch.equal(matrix.weight.detach(), latent[name]) for name, matrix in rounded.matrices.items()
    ]
    assert all(moved) if weights else not any(moved)
    assert any(not torch.equal(value.detach(), floats[name]) for name, value in rounded.floats.items())


def test_a_kind_that_does_not_count_changes_nothing() -> None:
    model = tiny_llama(0, sharpness=3.0)
    rows, teachers = taught(model), dict.fromkeys(("malicious", "benign", "texts"), model)
    found = []
    for kinds in (("benign",), ("benign", "malicious")):
        rounded = begun(model, names())
        chosen = {kind: rows[kind] for kind in kinds}
        train_round(
            rounded,
            chosen,
            teachers,
            Objective(malicious_share=0.0),
            RATES,
            Span(0, 5, 5),
            weights=True,
            seed=0,
        )
        found.append(rounded.settled())
    for name, parts in found[0].matrices.items():
        assert all(
            torch.allclose(a, b, atol=1e-6) for a, b in zip(parts, found[1].matrices[name], strict=True)
        )


def test_rates_warm_up_once_a_round_and_fall_over_all_rounds() -> None:
    first, second = Span(0, 50, 100), Span(50, 50, 100)
    assert first.factor(0) < first.factor(9) > first.factor(49)
    assert second.factor(0) < second.factor(9) < first.factor(49)
    assert 0 <= second.factor(49) < 0.01
