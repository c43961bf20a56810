"""Plain AWQ and GPTQ as a solver: the same as whole-model quantization, and resumed to the same bits."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from qaudit.errors import InputError  # noqa: E402
from realign.decoder_blocks import STAGES, blocks_of, module_name  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.job import CalibrationTokens, Job, Solution, Step  # noqa: E402
from realign.plain_quantization import load_float, quantize_model  # noqa: E402
from realign.solvers.awq_search import AwqOptions  # noqa: E402
from realign.solvers.gptq import GptqOptions  # noqa: E402
from realign.solvers.plain import AwqRecipe, GptqRecipe, PlainSolver, Recipe  # noqa: E402

FOUR = GroupGrid(4, 32, symmetric=True)
RECIPES: dict[str, Recipe] = {
    "awq": AwqRecipe(AwqOptions(group_size=32, exponents=3, shrinks=3)),
    "gptq": GptqRecipe(GptqOptions(FOUR)),
    "gptq shuffled": GptqRecipe(GptqOptions(GroupGrid(3, 32, symmetric=False), "shuffled")),
}


def job_of(folder: Path, recipe: Recipe, prompts: list[list[int]], skipped: tuple[str, ...] = ()) -> Job:
    parent = load_float(folder)
    modules = [
        module_name(number, name)
        for number in range(len(blocks_of(parent)))
        for stage in STAGES
        for name in stage.linears
    ]
    grids = {module: recipe.options.grid for module in modules if module not in skipped}
    rows = [tuple(tokens) for tokens in prompts]
    tokens = CalibrationTokens(tuple(rows[:3]), tuple(rows[3:]))
    return Job(parent, load_float(folder), tokens, grids, 0, frozenset({2}))


def bits(solution: Solution) -> dict[str, bytes]:
    found = {
        f"{module}:{part}": tensor.contiguous().numpy().tobytes()
        for module, entry in solution.encoded.items()
        for part, tensor in entry.tensors().items()
    }
    return found | {name: tensor.contiguous().numpy().tobytes() for name, tensor in solution.floats.items()}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("parent", ["grouped", "ungrouped"])
def test_resumed_after_any_step_it_gives_the_same_bits(
    name: str, parent: str, prompts: list[list[int]], request: pytest.FixtureRequest
) -> None:
    folder, recipe = request.getfixturevalue(parent), RECIPES[name]
    solver = PlainSolver(recipe)
    job = job_of(folder, recipe, prompts)
    steps = list(solver.steps(job, []))
    assert len(steps) == solver.count(job) == 4
    whole = bits(solver.solution(job, steps))
    for done in range(1, 5):
        fresh = job_of(folder, recipe, prompts)
        rest = list(solver.steps(fresh, steps[:done]))
        assert [s.name for s in rest] == [s.name for s in steps[done:]]
        assert [dict(s.losses) for s in rest] == [dict(s.losses) for s in steps[done:]]
        assert bits(solver.solution(fresh, [*steps[:done], *rest])) == whole


@pytest.mark.parametrize("name", RECIPES)
def test_is_what_quantizing_the_model_gives(name: str, grouped: Path, prompts: list[list[int]]) -> None:
    recipe = RECIPES[name]
    job = job_of(grouped, recipe, prompts)
    solver = PlainSolver(recipe)
    solution = solver.solution(job, list(solver.steps(job, [])))
    model = load_float(grouped)
    linears = quantize_model(model, prompts, recipe)
    assert solution.encoded.keys() == linears.keys()
    for module, entry in linears.items():
        assert torch.equal(solution.encoded[module].weight(), entry.weight())
    folded = {n: t for n, t in model.named_parameters() if "layernorm" in n}
    assert set(solution.floats) == (set(folded) if name == "awq" else set())
    assert all(torch.equal(folded[n], t) for n, t in solution.floats.items())


def test_a_module_without_a_grid_stays_float(grouped: Path, prompts: list[list[int]]) -> None:
    kept = "model.layers.1.mlp.down_proj"
    recipe = RECIPES["gptq"]
    job = job_of(grouped, recipe, prompts, skipped=(kept,))
    steps = list(PlainSolver(recipe).steps(job, []))
    solution = PlainSolver(recipe).solution(job, steps)
    assert len(solution.encoded) == 4 * 7 - 1
    assert kept not in solution.encoded
    assert torch.equal(job.parent.get_submodule(kept).weight, job.reference.get_submodule(kept).weight)


def test_losses_are_the_errors_of_the_blocks(grouped: Path, prompts: list[list[int]]) -> None:
    losses = []
    for size in (4, 8):
        recipe = GptqRecipe(GptqOptions(GroupGrid(size, 32, symmetric=True)))
        steps: list[Step] = list(PlainSolver(recipe).steps(job_of(grouped, recipe, prompts), []))
        losses.append([step.losses["reconstruction.after"] for step in steps])
    assert all(0 < eight < four / 20 for four, eight in zip(*losses, strict=True))


def test_grids_that_do_not_fit_are_refused(grouped: Path, prompts: list[list[int]]) -> None:
    awq = RECIPES["awq"]
    with pytest.raises(InputError, match="one grid"):
        list(PlainSolver(awq).steps(job_of(grouped, awq, prompts, ("model.layers.0.mlp.up_proj",)), []))
    job = job_of(grouped, RECIPES["gptq"], prompts)
    odd = Job(job.parent, job.reference, job.prompts, {"lm_head": FOUR}, 0, frozenset())
    with pytest.raises(InputError, match="lm_head"):
        list(PlainSolver(RECIPES["gptq"]).steps(odd, []))
