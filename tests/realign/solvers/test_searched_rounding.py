"""Rounding any grid without training: better than plain ranges, resumed to the same bits."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hf_folders import write_folder  # noqa: E402

from realign.calibration_activations import Call, gram  # noqa: E402
from realign.decoder_blocks import STAGES, blocks_of, module_name  # noqa: E402
from realign.grids.grid import Grid  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402
from realign.job import CalibrationTokens, Job, Solution  # noqa: E402
from realign.plain_quantization import load_float  # noqa: E402
from realign.solvers.searched_rounding import SearchedRounding, carried_error, outside_blocks  # noqa: E402

EMBEDDINGS = "model.embed_tokens"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of whole superblocks."""
    return write_folder(
        tmp_path_factory.mktemp("wide") / "parent", "llama", torch.float32,
        hidden_size=256, intermediate_size=256, num_hidden_layers=2,
    )  # fmt: skip


def job_of(folder: Path, grid: Grid, prompts: list[list[int]], *, outside: bool = False) -> Job:
    parent = load_float(folder)
    names = [name for stage in STAGES for name in stage.linears]
    grids = {module_name(number, name): grid for number in range(len(blocks_of(parent))) for name in names}
    if outside:
        grids[EMBEDDINGS] = grid
    rows = [tuple(tokens) for tokens in prompts]
    return Job(
        parent, load_float(folder), CalibrationTokens(tuple(rows[:3]), tuple(rows[3:])), grids, 0, frozenset()
    )


def bits(solution: Solution) -> dict[str, bytes]:
    return {
        f"{module}:{part}": tensor.contiguous().numpy().tobytes()
        for module, entry in solution.encoded.items()
        for part, tensor in entry.tensors().items()
    }


@pytest.mark.parametrize("grid", [SuperblockGrid("Q2_K"), GroupGrid(4, 64, symmetric=False)], ids=repr)
def test_resumed_after_any_step_it_gives_the_same_bits(
    wide: Path, grid: Grid, prompts: list[list[int]]
) -> None:
    solver = SearchedRounding(texts=6, longest=6)
    job = job_of(wide, grid, prompts, outside=True)
    steps = list(solver.steps(job, []))
    assert len(steps) == solver.count(job) == 4
    assert [step.name for step in steps] == ["replies", "embeddings", "layer 0", "layer 1"]
    whole = solver.solution(job, steps)
    for module, entry in whole.encoded.items():
        # the parent was left with what a runtime computes with
        torch.testing.assert_close(entry.weight(), job.parent.get_submodule(module).weight.detach())
    for kept in (1, 3):
        fresh = job_of(wide, grid, prompts, outside=True)
        done = steps[:kept]
        again = [*done, *solver.steps(fresh, done)]
        assert bits(solver.solution(fresh, again)) == bits(whole)


def test_compensation_brings_the_model_nearer(
    wide: Path, prompts: list[list[int]], held_out: list[list[int]]
) -> None:
    grid = SuperblockGrid("Q2_K")
    reference = load_float(wide)
    off = {}
    for compensate in (False, True):
        job = job_of(wide, grid, prompts * 2)
        list(SearchedRounding(compensate=compensate, carried=0.0, texts=16, longest=8).steps(job, []))
        with torch.no_grad():
            off[compensate] = sum(
                float((job.parent(ids).logits - reference(ids).logits).square().mean())
                for ids in (torch.tensor([tokens]) for tokens in prompts)
            )
    assert off[True] < 0.9 * off[False]


def test_what_rounding_did_before_is_made_up_for(wide: Path, prompts: list[list[int]]) -> None:
    off = []
    for carried in (0.0, 0.5):
        job = job_of(wide, SuperblockGrid("Q2_K"), prompts * 2)
        steps = list(SearchedRounding(carried=carried, texts=16, longest=8).steps(job, []))
        off.append(steps[-1].losses["reconstruction.after"])
    assert off[1] < 0.95 * off[0]


def test_the_carried_error_is_the_least_squares_of_the_inputs() -> None:
    draw = torch.Generator().manual_seed(2)
    seen = torch.randn(3, 50, 8, generator=draw)
    mixing = torch.randn(8, 8, generator=draw) / 4
    calls = [Call(states, {}) for states in seen]
    meant = [Call(states + states @ mixing.T, {}) for states in seen]
    found = carried_error(meant, calls, gram(calls))
    torch.testing.assert_close(found, mixing, rtol=0.05, atol=0.02)
    # nothing was done to them
    assert not carried_error(calls, calls, gram(calls)).any()


def test_matrices_of_no_block_are_told_apart(wide: Path, prompts: list[list[int]]) -> None:
    job = job_of(wide, SuperblockGrid("Q4_K"), prompts, outside=True)
    assert list(outside_blocks(job)) == [EMBEDDINGS]
    assert outside_blocks(job_of(wide, SuperblockGrid("Q4_K"), prompts)) == {}


def test_what_has_no_grid_stays_as_it_is(wide: Path, prompts: list[list[int]]) -> None:
    job = job_of(wide, SuperblockGrid("Q4_K"), prompts)
    grids = {module: grid for module, grid in job.grids.items() if "o_proj" not in module}
    job = Job(job.parent, job.reference, job.prompts, grids, 0, frozenset())
    solver = SearchedRounding(texts=6, longest=6)
    solution = solver.solution(job, list(solver.steps(job, [])))
    assert set(solution.encoded) == set(grids)
    untouched = "model.layers.1.self_attn.o_proj.weight"
    assert torch.equal(job.parent.get_parameter(untouched), job.reference.get_parameter(untouched))
