"""The whole solver on tiny models: on the grid, better than where it begins, and to the same bits again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")

from tiny_llamas import END, other_than, prompts, tiny_llama  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.activation_stream import ModelBlocks  # noqa: E402
from realign.decoder_blocks import STAGES, blocks_of, module_name  # noqa: E402
from realign.grids.grid import Grid  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.job import CalibrationTokens, Job, Step  # noqa: E402
from realign.kernels.w4a16_matmul import PackedWeight  # noqa: E402
from realign.objective import Objective, divergence  # noqa: E402
from realign.solvers import qrealign  # noqa: E402
from realign.solvers.layer_training import Rates  # noqa: E402
from realign.solvers.qrealign import QRealignOptions, QRealignSolver  # noqa: E402
from realign.solvers.settled import Settled  # noqa: E402

GRID = GroupGrid(2, 32, symmetric=False)
RATES = Rates(weights=0.03)
OPTIONS = QRealignOptions(
    layer_rates=RATES, early_epochs=3, late_epochs=4, rows=6, rounds=2, round_steps=12, round_rates=RATES,
    texts=6, text_length=8, longest_reply=5,
)  # fmt: skip
LINEARS = [module_name(number, name) for number in range(2) for stage in STAGES for name in stage.linears]


def job(*, embeddings: bool = True, seed: int = 3) -> Job:
    reference = tiny_llama(0, sharpness=3.0)
    names = [*LINEARS, *(["model.embed_tokens"] if embeddings else [])]
    asked = CalibrationTokens(prompts(11, 12), prompts(12, 12))
    return Job(
        other_than(reference, 1, 0.1), reference, asked, dict.fromkeys(names, GRID), seed, frozenset({END})
    )


def off_by(given: Job, steps: list[Step], solver: QRealignSolver) -> float:
    """Return the mean KL at the first token of replies to the malicious prompts, with the solution."""
    solution = solver.solution(given, steps)
    model = other_than(given.parent, 0, 0.0)
    with torch.no_grad():
        for name, encoded in solution.encoded.items():
            model.get_submodule(name).weight.copy_(encoded.weight())
        for name, value in solution.floats.items():
            model.get_parameter(name).copy_(value)
        losses = [
            divergence(given.reference(ids).logits[0, -1:], model(ids).logits[0, -1:])
            for ids in (torch.tensor([prompt]) for prompt in given.prompts.malicious)
        ]
    return float(torch.cat(losses).mean())


@pytest.fixture(scope="module")
def solved() -> tuple[Job, list[Step]]:
    given = job()
    return given, list(QRealignSolver(OPTIONS).steps(given, ()))


def test_steps_are_as_many_as_counted_and_say_what_they_did(solved: tuple[Job, list[Step]]) -> None:
    given, steps = solved
    assert [step.name for step in steps] == [
        "embeddings", "layer 0", "layer 1", "replies", "round 1 of 2", "round 2 of 2",
    ]  # fmt: skip
    assert QRealignSolver(OPTIONS).count(given) == len(steps)
    for layer in steps[1:3]:
        assert layer.losses["reconstruction.after"] < layer.losses["reconstruction.before"]
    assert steps[5].losses["malicious.first_token.after"] < steps[4].losses["malicious.first_token.before"]


def test_the_solution_is_on_the_grid_and_nearer_to_the_reference(solved: tuple[Job, list[Step]]) -> None:
    given, steps = solved
    solver = QRealignSolver(OPTIONS)
    solution = solver.solution(given, steps)
    assert set(solution.encoded) == set(given.grids)
    norms = {name for name, value in given.parent.named_parameters() if value.ndim == 1}
    assert set(solution.floats) == norms
    untrained = replace(OPTIONS, early_epochs=0, late_epochs=0, rounds=0, objective=Objective(separation=0.0))
    plain = QRealignSolver(untrained)
    layers_only = QRealignSolver(replace(OPTIONS, rounds=0))
    begun = off_by(given, list(plain.steps(given, ())), plain)
    halfway = off_by(given, steps[:3], layers_only)
    assert off_by(given, steps, solver) < halfway < begun


@pytest.mark.parametrize("kept", range(6))
def test_it_goes_on_to_the_same_bits(kept: int, solved: tuple[Job, list[Step]]) -> None:
    given, steps = solved
    again = [*steps[:kept], *QRealignSolver(OPTIONS).steps(job(), steps[:kept])]
    assert len(again) == len(steps)
    for first, second in zip(steps, again, strict=True):
        assert first.name == second.name
        assert first.tensors.keys() == second.tensors.keys()
        assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
    del given


@pytest.mark.parametrize("kept", [0, 2, 3])
def test_blocks_that_are_lent_one_at_a_time_give_the_same_bits(
    kept: int, solved: tuple[Job, list[Step]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lent: list[int] = []
    most: list[int] = []
    own = ModelBlocks.lent

    @contextmanager
    def watched(self: ModelBlocks, number: int, device: torch.device) -> Iterator[Any]:
        with own(self, number, device) as block:
            assert block is not blocks_of(self.model)[number]
            lent.append(number)
            most.append(len(lent))
            yield block
            lent.pop()

    monkeypatch.setattr(ModelBlocks, "lent", watched)
    # "cpu:0" is another device by its name, to which blocks go as copies
    given = replace(job(), device="cpu:0")
    again = [*solved[1][:kept], *QRealignSolver(OPTIONS).steps(given, solved[1][:kept])]
    for first, second in zip(solved[1], again, strict=True):
        assert first.losses == second.losses
        assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
    assert max(most, default=0) == (0 if kept == 3 else 1)


def test_a_chain_of_products_with_codes_leads_to_the_same_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    # on a GPU the chain goes on through codes; here the same products are made in plain torch
    given, found, made = job(embeddings=False), [], []
    given = replace(given, grids=dict.fromkeys(LINEARS, GroupGrid(4, 32, symmetric=False)))
    own = qrealign.packed_weights

    def counted(settled: Settled, grids: Mapping[str, Grid]) -> dict[str, PackedWeight]:
        made.append(own(settled, grids))
        return made[-1]

    monkeypatch.setattr(qrealign, "packed_weights", counted)
    for through_codes in (False, True):
        monkeypatch.setattr(qrealign, "runs_on", lambda _tensor, on=through_codes: on)
        steps = QRealignSolver(replace(OPTIONS, rounds=0)).steps(given, ())
        found.append([step.losses for step in steps])
    assert [len(weights) for weights in made] == [7, 7]
    assert found[0][0] == found[1][0]
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-2)


def test_models_are_left_as_they_were(solved: tuple[Job, list[Step]]) -> None:
    given, fresh = solved[0], job()
    for used, new in ((given.parent, fresh.parent), (given.reference, fresh.reference)):
        assert all(torch.equal(value, new.state_dict()[name]) for name, value in used.state_dict().items())


def test_what_has_no_grid_stays_float() -> None:
    given = job(embeddings=False)
    solver = QRealignSolver(replace(OPTIONS, rounds=0, early_epochs=1, late_epochs=1))
    steps = list(solver.steps(given, ()))
    assert [step.name for step in steps] == ["layer 0", "layer 1"]
    assert set(solver.solution(given, steps).encoded) == set(LINEARS)


def test_a_tied_output_matrix_is_rounded_once() -> None:
    given = job()
    given.parent.lm_head.weight = given.parent.model.embed_tokens.weight
    tied: dict[str, Any] = {**given.grids, "lm_head": GRID}
    solver = QRealignSolver(replace(OPTIONS, rounds=0, early_epochs=0, late_epochs=0))
    given = replace(given, grids=tied)
    found = solver.solution(given, list(solver.steps(given, ()))).encoded
    assert len([name for name in found if name in ("lm_head", "model.embed_tokens")]) == 1


def test_stored_steps_without_ranges_are_refused(solved: tuple[Job, list[Step]]) -> None:
    given, steps = solved
    broken = replace(
        steps[1], tensors={n: t for n, t in steps[1].tensors.items() if not n.startswith("low:")}
    )
    with pytest.raises(InputError, match="lack the ranges"):
        QRealignSolver(OPTIONS).solution(given, [steps[0], broken])
