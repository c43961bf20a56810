"""k-quants with an importance matrix: better where inputs are, and what the writer would be given."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("llama_cpp")

from realign.job import CalibrationTokens, Job  # noqa: E402
from realign.plain_quantization import load_float  # noqa: E402
from realign.solvers.plain_gguf import PlainGgufSolver  # noqa: E402
from realign.superblock_linear import SuperblockLinear  # noqa: E402

UP, DOWN = "model.layers.1.mlp.up_proj", "model.layers.1.mlp.down_proj"


def job_of(folder: Path, prompts: list[list[int]]) -> Job:
    rows = [tuple(tokens) for tokens in prompts]
    tokens = CalibrationTokens(tuple(rows[:3]), tuple(rows[3:]))
    return Job(load_float(folder), load_float(folder), tokens, {}, 0, frozenset({2}))


def test_named_layers_are_quantized_with_importance(grouped: Path, prompts: list[list[int]]) -> None:
    job = job_of(grouped, prompts)
    before = {n: p.clone() for n, p in job.parent.named_parameters()}
    solver = PlainGgufSolver({UP: "Q4_0", DOWN: "Q8_0"})
    steps = list(solver.steps(job, []))
    assert len(steps) == solver.count(job) == 4
    solution = solver.solution(job, steps)
    assert set(solution.encoded) == {UP, DOWN}
    kinds = {
        name: entry.ggml_type
        for name, entry in solution.encoded.items()
        if isinstance(entry, SuperblockLinear)
    }
    assert kinds == {UP: "Q4_0", DOWN: "Q8_0"}
    losses = steps[1].losses
    assert (
        0 < losses["relative error mlp.down_proj.after"] < losses["relative error mlp.up_proj.after"] < 0.05
    )
    # the parent is left as it is
    assert all(torch.equal(before[n], p) for n, p in job.parent.named_parameters())


def test_it_goes_on_to_the_same_bits(grouped: Path, prompts: list[list[int]]) -> None:
    solver = PlainGgufSolver({UP: "Q4_0", "model.layers.3.mlp.up_proj": "Q4_0"})
    whole = list(solver.steps(job_of(grouped, prompts), []))
    rest = list(solver.steps(job_of(grouped, prompts), whole[:2]))
    assert [s.name for s in rest] == ["layer 2", "layer 3"]
    for name, tensor in whole[3].tensors.items():
        assert torch.equal(rest[1].tensors[name], tensor)
    assert list(solver.steps(job_of(grouped, prompts), whole)) == []
