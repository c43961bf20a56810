"""A tiny parent is taught its reference's replies on the grid, and nothing else."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_llamas import END, other_than, prompts, tiny_llama  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.decoder_blocks import STAGES, module_name  # noqa: E402
from realign.greedy_replies import greedy_replies  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.job import CalibrationTokens, Job, Solution, Step  # noqa: E402
from realign.solvers.patch_training import QresafeOptions  # noqa: E402
from realign.solvers.patched_linear import PatchShape  # noqa: E402
from realign.solvers.preference_loss import TermWeights  # noqa: E402
from realign.solvers.qresafe import QresafeSolver  # noqa: E402
from realign.solvers.rounded_inputs import inputs_rounded  # noqa: E402

GRID = GroupGrid(4, 32, symmetric=False)
ENDS = frozenset({END})
OPTIONS = QresafeOptions(
    rounds=2,
    steps=8,
    batch=6,
    benign_batch=6,
    rate=0.25,
    longest=4,
    texts=6,
    texts_batch=3,
    longest_text=6,
    beta=0.3,
)


def job(seed: int = 5) -> Job:
    reference = tiny_llama(0)
    names = [module_name(number, name) for number in range(2) for stage in STAGES for name in stage.linears]
    asked = CalibrationTokens(prompts(11, 6), prompts(12, 6))
    return Job(other_than(reference, 3, 0.6), reference, asked, {name: GRID for name in names}, seed, ENDS)


def solved(options: QresafeOptions, given: Job) -> tuple[list[Step], Solution]:
    solver = QresafeSolver(options)
    steps = list(solver.steps(given, []))
    assert len(steps) == solver.count(given)
    return steps, solver.solution(given, steps)


def in_parent(given: Job, solution: Solution) -> Job:
    with torch.no_grad():
        for name, encoded in solution.encoded.items():
            given.parent.get_submodule(name).weight.copy_(encoded.weight())
    return given


@pytest.mark.parametrize("shape", [PatchShape(), PatchShape(rank=8, ranges=True)], ids=repr)
def test_the_reference_s_replies_become_likelier_on_the_grid(shape: PatchShape) -> None:
    given = job()
    before = {name: value.clone() for name, value in given.parent.state_dict().items()}
    steps, solution = solved(replace(OPTIONS, shape=shape), given)
    losses = {
        name: (steps[1].losses[f"{name}.before"], steps[-1].losses[f"{name}.after"])
        for name in ("imitation", "preference")
    }
    assert all(after < 0.8 * first for first, after in losses.values()), losses
    assert all(torch.equal(value, before[name]) for name, value in given.parent.state_dict().items())
    assert set(solution.encoded) == set(given.grids)
    assert 0 < solution.figures["changed_weights"] < 1
    meant = greedy_replies(given.reference, given.prompts.malicious, ENDS, 5)
    was = greedy_replies(given.parent, given.prompts.malicious, ENDS, 5)
    now = greedy_replies(in_parent(given, solution).parent, given.prompts.malicious, ENDS, 5)
    assert agreeing(now, meant) > agreeing(was, meant)


def agreeing(some: list[tuple[int, ...]], others: list[tuple[int, ...]]) -> int:
    return sum(
        a == b for one, other in zip(some, others, strict=True) for a, b in zip(one, other, strict=False)
    )


def test_what_runtimes_round_is_trained_through() -> None:
    options = replace(OPTIONS, input_bits=4)
    steps, solution = solved(options, job())
    others, _ = solved(OPTIONS, job())
    assert steps[-1].losses["imitation.after"] < 0.8 * steps[1].losses["imitation.before"]
    # rounded inputs are seen from the first step on
    assert steps[1].losses["imitation.before"] != others[1].losses["imitation.before"]
    given = in_parent(job(), solution)
    with inputs_rounded(given.parent.model.layers, 4):
        now = greedy_replies(given.parent, given.prompts.malicious, ENDS, 5)
    was = job()
    with inputs_rounded(was.parent.model.layers, 4):
        before = greedy_replies(was.parent, was.prompts.malicious, ENDS, 5)
    meant = greedy_replies(given.reference, given.prompts.malicious, ENDS, 5)
    assert agreeing(now, meant) > agreeing(before, meant)


def test_anchors_hold_what_the_parent_says() -> None:
    held, _ = solved(replace(OPTIONS, terms=TermWeights(anchor=4.0)), job())
    free, _ = solved(replace(OPTIONS, terms=TermWeights(anchor=0.0, texts=0.0)), job())
    assert held[-1].losses["anchor.after"] < 0.7 * free[-1].losses["anchor.after"]


def test_a_smaller_mask_changes_fewer_weights() -> None:
    changed = [
        solved(replace(OPTIONS, fraction=part), job())[1].figures["changed_weights"] for part in (0.1, 1.0)
    ]
    assert changed[0] < 0.5 * changed[1]


def test_it_goes_on_to_the_same_bits() -> None:
    given = job()
    steps, _ = solved(OPTIONS, given)
    again = list(QresafeSolver(OPTIONS).steps(job(), steps[:2]))
    assert [step.name for step in again] == ["round 2 of 2"]
    assert again[0].losses == steps[2].losses
    assert all(torch.equal(again[0].tensors[name], value) for name, value in steps[2].tensors.items())
    assert list(QresafeSolver(OPTIONS).steps(job(), steps)) == []


def test_the_seed_decides() -> None:
    one, other = (solved(replace(OPTIONS, rounds=1), job(seed))[0] for seed in (1, 2))
    assert any(not torch.equal(one[-1].tensors[name], value) for name, value in other[-1].tensors.items())


def test_an_embedding_with_a_grid_is_rounded_and_given_back() -> None:
    given = job()
    grids = {**given.grids, "model.embed_tokens": GRID}
    given = replace(given, grids=grids)
    before = given.parent.model.embed_tokens.weight.clone()
    _, solution = solved(replace(OPTIONS, rounds=1, steps=2), given)
    assert torch.equal(given.parent.model.embed_tokens.weight, before)
    assert 0 < float((solution.encoded["model.embed_tokens"].weight() - before).abs().max()) < 0.5


def test_both_kinds_of_prompts_are_needed() -> None:
    given = job()
    with pytest.raises(InputError, match="malicious and benign"):
        next(QresafeSolver().steps(replace(given, prompts=CalibrationTokens((), prompts(1, 2))), []))


def test_something_must_be_patched() -> None:
    given = replace(job(), grids={"model.embed_tokens": GRID})
    with pytest.raises(InputError, match="nothing can be patched"):
        next(QresafeSolver(OPTIONS).steps(given, []))
