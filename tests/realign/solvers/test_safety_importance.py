import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("llama_cpp")

import torch
from hf_folders import write_folder

from realign.grids.ggml_quantizer import ggml_quantized
from realign.importance import TokenWeights
from realign.job import CalibrationTokens, Job
from realign.plain_quantization import load_float
from realign.solvers.safety_importance import SafetyImportance
from realign.superblock_linear import SuperblockLinear

UP = "model.layers.1.mlp.up_proj"
KINDS = {"model.layers.0.self_attn.q_proj": "IQ4_XS", UP: "IQ3_S"}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = write_folder(
        tmp_path_factory.mktemp("wide") / "parent", "llama", hidden_size=256, intermediate_size=256,
        num_hidden_layers=2,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    rows = [tuple(torch.randint(4, 1000, (8,), generator=generator).tolist()) for _ in range(12)]
    model = load_float(folder)
    return Job(model, model, CalibrationTokens(tuple(rows[:6]), tuple(rows[6:])), {}, 0, frozenset())


def test_only_what_has_a_type_is_rounded(job: Job) -> None:
    solver = SafetyImportance(KINDS)
    steps = list(solver.steps(job, []))
    assert len(steps) == solver.count(job) == 1
    assert list(solver.steps(job, steps)) == []
    found = solver.solution(job, steps)
    assert {
        name: entry.ggml_type for name, entry in found.encoded.items() if isinstance(entry, SuperblockLinear)
    } == KINDS
    assert (found.floats, found.figures) == ({}, {"malicious": 0.75, "last": 0.5})
    # the same from stored steps
    again = solver.solution(job, steps)
    assert all(torch.equal(again.encoded[n].weight(), e.weight()) for n, e in found.encoded.items())


def test_malicious_inputs_come_out_closer_than_without(job: Job) -> None:
    weight = job.parent.get_submodule(UP).weight.detach()
    seen: list[torch.Tensor] = []
    hook = job.parent.get_submodule(UP).register_forward_pre_hook(
        lambda _, given: seen.append(given[0].detach())
    )
    with torch.no_grad():
        job.parent.model(torch.tensor(job.prompts.malicious), use_cache=False)
    hook.remove()
    rows = seen[0].reshape(-1, seen[0].shape[-1])
    solver = SafetyImportance(KINDS, TokenWeights(malicious=1.0))
    heeded = solver.solution(job, list(solver.steps(job, []))).encoded[UP].weight()
    plain = ggml_quantized(weight, "IQ3_S").weight()
    off = [((rows @ (found - weight).T) ** 2).mean() for found in (heeded, plain)]
    assert off[0] < off[1]
