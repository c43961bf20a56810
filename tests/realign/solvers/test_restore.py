"""An ablated model gets back what the reference wrote, and keeps what is its own."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hf_folders import write_folder  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.decoder_blocks import STAGES, module_name  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.job import CalibrationTokens, Job  # noqa: E402
from realign.plain_quantization import load_float  # noqa: E402
from realign.solvers.restore import Restore  # noqa: E402
from realign.solvers.searched_rounding import SearchedRounding  # noqa: E402

WRITERS = ("self_attn.o_proj", "mlp.down_proj")
GRID = GroupGrid(8, 32, symmetric=False)
LAYERS = 3


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many value heads as query heads, so that scales could be folded there too."""
    folder = tmp_path_factory.mktemp("even") / "parent"
    return write_folder(
        folder, "llama", torch.float32,
        hidden_size=128, intermediate_size=256, num_key_value_heads=4, num_hidden_layers=LAYERS,
    )  # fmt: skip


def direction() -> torch.Tensor:
    drawn = torch.randn(128, generator=torch.Generator().manual_seed(9))
    return drawn / drawn.norm()


@torch.no_grad()
def ablate(model: Any, strength: float = 1.0) -> None:
    v = direction()
    for number in range(LAYERS):
        for name in WRITERS:
            weight = model.get_submodule(module_name(number, name)).weight
            weight -= strength * torch.outer(v, v @ weight)


@torch.no_grad()
def round_all(model: Any, grid: GroupGrid) -> None:
    for number in range(LAYERS):
        for name in (name for stage in STAGES for name in stage.linears):
            weight = model.get_submodule(module_name(number, name)).weight
            groups = weight.reshape(len(weight), grid.groups_of(weight.shape[1]), -1)
            weight.copy_(grid.fake(weight, groups.amin(dim=-1), groups.amax(dim=-1)))


def job_of(folder: Path, prompts: list[list[int]], skipped: tuple[str, ...] = ()) -> Job:
    names = [name for stage in STAGES for name in stage.linears if name not in skipped]
    grids = {module_name(number, name): GRID for number in range(LAYERS) for name in names}
    rows = [tuple(tokens) for tokens in prompts]
    tokens = CalibrationTokens(tuple(rows[:3]), tuple(rows[3:]))
    return Job(load_float(folder), load_float(folder), tokens, grids, 0, frozenset())


def written(model: Any, module: str) -> torch.Tensor:
    with torch.no_grad():
        return direction() @ model.get_submodule(module).weight


def restoring() -> Restore:
    """Return the solver with few texts to calibrate on."""
    return Restore(SearchedRounding(texts=4, longest=4))


@pytest.mark.parametrize(("bits", "strength"), [(4, 0.6), (3, 1.3)])
def test_the_direction_comes_back_under_rounding(
    parent: Path, prompts: list[list[int]], bits: int, strength: float
) -> None:
    job = job_of(parent, prompts)
    ablate(job.parent, strength)
    round_all(job.parent, GroupGrid(bits, 32, symmetric=False))
    solver = restoring()
    steps = list(solver.steps(job, []))
    assert len(steps) == solver.count(job) == 2 + LAYERS
    assert steps[0].losses["ablation strength.before"] == pytest.approx(strength, abs=0.1)
    assert steps[0].losses["ablation strength.after"] < 1e-3
    solution = solver.solution(job, steps)
    assert len(solution.figures["restored"]) == 2 * LAYERS
    for module in solution.figures["restored"]:
        got, meant = direction() @ solution.encoded[module].weight(), written(job.reference, module)
        assert float((got - meant).norm() / meant.norm()) < 0.15


def test_what_is_the_checkpoints_own_stays(parent: Path, prompts: list[list[int]]) -> None:
    job = job_of(parent, prompts, skipped=WRITERS)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        # a fine-tune of everything
        for number in range(LAYERS):
            for name in (name for stage in STAGES for name in stage.linears):
                weight = job.parent.get_submodule(module_name(number, name)).weight
                weight += 0.05 * weight.std() * torch.randn(weight.shape, generator=generator)
    ablate(job.parent)
    module = module_name(2, "mlp.down_proj")
    tuned = job.parent.get_submodule(module).weight.detach().clone()
    solver = restoring()
    solution = solver.solution(job, list(solver.steps(job, [])))
    restored = solution.floats[f"{module}.weight"]
    reference = job.reference.get_submodule(module).weight.detach()
    v = direction()
    torch.testing.assert_close(v @ restored, v @ reference, rtol=0.02, atol=0.02)
    # across the direction it is the fine-tune's, not the reference's
    rest = torch.eye(128) - torch.outer(v, v)
    assert float((rest @ (restored - tuned)).norm()) < 0.2 * float((rest @ (reference - tuned)).norm())


def test_folded_scales_are_kept(parent: Path, prompts: list[list[int]]) -> None:
    job = job_of(parent, prompts, skipped=WRITERS)
    ablate(job.parent)
    scale = torch.exp(0.5 * torch.randn(256, generator=torch.Generator().manual_seed(2)))
    with torch.no_grad():
        for number in range(LAYERS):
            job.parent.get_submodule(module_name(number, "mlp.up_proj")).weight.div_(scale[:, None])
            job.parent.get_submodule(module_name(number, "mlp.down_proj")).weight.mul_(scale)
    module = module_name(1, "mlp.down_proj")
    solver = restoring()
    solution = solver.solution(job, list(solver.steps(job, [])))
    meant = job.reference.get_submodule(module).weight.detach() * scale
    torch.testing.assert_close(solution.floats[f"{module}.weight"], meant, rtol=1e-3, atol=1e-3)


def test_resumed_it_gives_the_same_bits(parent: Path, prompts: list[list[int]]) -> None:
    solver = restoring()
    job = job_of(parent, prompts)
    ablate(job.parent)
    steps = list(solver.steps(job, []))
    whole = solver.solution(job, steps)
    for kept in (2,):
        fresh = job_of(parent, prompts)
        ablate(fresh.parent)
        again = solver.solution(fresh, [*steps[:kept], *solver.steps(fresh, steps[:kept])])
        for module, entry in whole.encoded.items():
            assert torch.equal(entry.weight(), again.encoded[module].weight())


@pytest.mark.parametrize("tied", [False, True])
def test_embeddings_and_output_matrix_come_back_too(
    prompts: list[list[int]], tied: bool, tmp_path: Path
) -> None:
    folder = write_folder(
        tmp_path / "parent", "llama", torch.float32, hidden_size=128, intermediate_size=256,
        num_hidden_layers=LAYERS, tie_word_embeddings=tied,
    )  # fmt: skip
    job = job_of(folder, prompts)
    names = ["model.embed_tokens"] if tied else ["model.embed_tokens", "lm_head"]
    ablate(job.parent)
    v = direction()
    with torch.no_grad():
        for name in names:
            weight = job.parent.get_submodule(name).weight
            weight -= torch.outer(weight @ v, v)
    before = {name: job.parent.get_submodule(name).weight.detach().clone() for name in names}
    solver = restoring()
    solution = solver.solution(job, list(solver.steps(job, [])))
    assert set(names) < set(solution.figures["restored"])
    for name in names:
        assert solution.figures["restored"][name] == pytest.approx(1.0, abs=0.05)
        restored, reference = (
            solution.floats[f"{name}.weight"], job.reference.get_submodule(name).weight.detach()
        )  # fmt: skip
        assert float((before[name] @ v).abs().max()) < 1e-4
        torch.testing.assert_close(restored @ v, reference @ v, rtol=0.02, atol=0.02)
        # across the direction nothing is touched
        across = (restored - before[name]) - torch.outer((restored - before[name]) @ v, v)
        assert float(across.abs().max()) < 1e-2


def test_the_reference_itself_needs_nothing(parent: Path, prompts: list[list[int]]) -> None:
    job = job_of(parent, prompts)
    solver = restoring()
    solution = solver.solution(job, list(solver.steps(job, [])))
    assert solution.figures["restored"] == {}
    assert set(solution.encoded) == set(job.grids)


def test_a_parent_that_is_not_ablated_is_refused(parent: Path, prompts: list[list[int]]) -> None:
    job = job_of(parent, prompts)
    round_all(job.parent, GroupGrid(4, 32, symmetric=False))
    with pytest.raises(InputError, match="nothing to restore"):
        list(restoring().steps(job, []))
