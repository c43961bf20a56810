"""Bits where they are needed, within a size, and rounded to what was chosen."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hf_folders import write_folder  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.decoder_blocks import STAGES, module_name  # noqa: E402
from realign.grids.grid import Grid  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402
from realign.job import CalibrationTokens, Job, Solution, Step  # noqa: E402
from realign.plain_quantization import load_float  # noqa: E402
from realign.solvers.protect import Protect, ProtectOptions  # noqa: E402
from realign.solvers.range_search import best_ranges  # noqa: E402
from realign.solvers.searched_rounding import SearchedRounding  # noqa: E402
from realign.superblock_linear import SuperblockLinear  # noqa: E402

LAYERS = 1


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of whole superblocks."""
    return write_folder(
        tmp_path_factory.mktemp("wide") / "parent", "llama", torch.float32,
        hidden_size=256, intermediate_size=256, num_hidden_layers=LAYERS,
    )  # fmt: skip


def job_of(folder: Path, grid: Grid, prompts: list[list[int]]) -> Job:
    names = [name for stage in STAGES for name in stage.linears]
    grids = {module_name(number, name): grid for number in range(LAYERS) for name in names}
    rows = [tuple(tokens) for tokens in prompts]
    tokens = CalibrationTokens(tuple(rows[:3]), tuple(rows[3:]))
    return Job(load_float(folder), load_float(folder), tokens, grids, 0, frozenset())


def protect(growth: float) -> Protect:
    """Return the solver with few texts to calibrate on."""
    return Protect(ProtectOptions(growth=growth), SearchedRounding(texts=4, longest=4))


def solved(solver: Protect, job: Job) -> tuple[list[Step], Solution]:
    steps = list(solver.steps(job, []))
    return steps, solver.solution(job, steps)


def size_of(solution: Solution) -> int:
    rows = [e for e in solution.encoded.values() if isinstance(e, SuperblockLinear)]
    assert len(rows) == len(solution.encoded)
    return sum(entry.rows.numel() for entry in rows)


@pytest.mark.parametrize("growth", [0.05, 0.4])
def test_the_size_is_kept_and_bits_help(wide: Path, prompts: list[list[int]], growth: float) -> None:
    job = job_of(wide, SuperblockGrid("Q2_K"), prompts)
    plain = sum(job.parent.get_submodule(module).weight.numel() * 84 // 256 for module in job.grids)
    steps, solution = solved(protect(growth), job)
    assert plain < size_of(solution) <= (1 + growth) * plain
    losses = steps[0].losses
    assert steps[0].name == "allocation"
    assert losses["divergence.after"] < losses["divergence.before"]
    assert losses["size"] == pytest.approx(size_of(solution) / plain)
    raised = solution.figures["raised"]
    assert raised
    for module, entry in solution.encoded.items():
        assert isinstance(entry, SuperblockLinear)
        assert entry.ggml_type == raised.get(module, "Q2_K")


def test_the_one_tensor_that_loses_anything_is_raised(wide: Path, prompts: list[list[int]]) -> None:
    job = job_of(wide, SuperblockGrid("Q2_K"), prompts)
    module = "model.layers.0.self_attn.v_proj"
    with torch.no_grad():
        for name, grid in job.grids.items():
            weight = job.parent.get_submodule(name).weight
            if name != module:
                # on the grid already: nothing is lost by rounding them
                weight.copy_(grid.fake(weight, *best_ranges(weight, grid)))
    _, solution = solved(protect(0.15), job)
    assert list(solution.figures["raised"]) == [module]


def test_no_growth_is_no_change(wide: Path, prompts: list[list[int]]) -> None:
    _, solution = solved(protect(0.0), job_of(wide, SuperblockGrid("Q2_K"), prompts))
    assert solution.figures["raised"] == {}


def test_resumed_it_gives_the_same_bits(wide: Path, prompts: list[list[int]]) -> None:
    solver = protect(0.05)
    steps, whole = solved(solver, job_of(wide, SuperblockGrid("Q2_K"), prompts))
    assert len(steps) == solver.count(job_of(wide, SuperblockGrid("Q2_K"), prompts)) == 2 + LAYERS
    for kept in (1,):
        job = job_of(wide, SuperblockGrid("Q2_K"), prompts)
        again = solver.solution(job, [*steps[:kept], *solver.steps(job, steps[:kept])])
        for module, entry in whole.encoded.items():
            assert all(
                torch.equal(tensor, again.encoded[module].tensors()[part])
                for part, tensor in entry.tensors().items()
            )


def test_in_lots_it_allocates_the_same(
    wide: Path, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def allocation() -> Step:
        job = job_of(wide, SuperblockGrid("Q2_K"), prompts)
        grids = {**job.grids, "model.embed_tokens": SuperblockGrid("Q2_K")}
        return next(iter(Protect().steps(replace(job, grids=grids), [])))

    whole = allocation()
    # no room but the model's own: errors of six types are held a few tensors at a time
    monkeypatch.setattr("realign.plan.LEAST_AT_ONCE", 0)
    lots = allocation()
    assert lots.losses == whole.losses
    assert all(torch.equal(lots.tensors[name], tensor) for name, tensor in whole.tensors.items())


def test_groups_are_raised_to_sixteen_bits(grouped: Path, prompts: list[list[int]]) -> None:
    grid = GroupGrid(4, 32, symmetric=False)
    job = job_of(grouped, grid, prompts)
    _, solution = solved(protect(0.25), job)
    raised = solution.figures["raised"]
    assert raised
    assert set(raised.values()) == {"F16"}
    # what stays a float is not among the rounded
    assert set(solution.encoded) == set(job.grids) - set(raised)


def test_nothing_to_raise_is_said(wide: Path, prompts: list[list[int]]) -> None:
    job = job_of(wide, SuperblockGrid("Q8_0"), prompts)
    with pytest.raises(InputError, match="no tensor could have more bits"):
        list(Protect().steps(job, []))
    empty = replace(job_of(wide, SuperblockGrid("Q2_K"), prompts), prompts=CalibrationTokens((), ()))
    with pytest.raises(InputError, match="no calibration prompts"):
        list(Protect().steps(empty, []))
