"""GGUFs to deliver: llama.cpp's types, sizes told beforehand, and a file that llama.cpp loads."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("llama_cpp")

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint  # noqa: E402
from qaudit.engines.llamacpp import LlamaModel  # noqa: E402
from qaudit.engines.protocol import EngineOptions  # noqa: E402
from qaudit.errors import InputError  # noqa: E402
from realign.float_model import Given, load_floats  # noqa: E402
from realign.gguf_config import config_of  # noqa: E402
from realign.gguf_delivery import GgufDelivery  # noqa: E402
from realign.grids.superblock_grid import SuperblockGrid  # noqa: E402
from realign.grids.target import parse_target  # noqa: E402
from realign.job import CalibrationTokens, Job, Step  # noqa: E402
from realign.methods import solver_of  # noqa: E402
from realign.solvers.plain_gguf import PlainGgufSolver  # noqa: E402
from realign.solvers.safety_importance import SafetyImportance  # noqa: E402

PROMPTS = CalibrationTokens(((1, 9, 30, 7), (1, 80, 14)), ((1, 60, 61, 62, 63), (1, 200, 3)))


def delivery(f16: Path, to: str, **more: object) -> GgufDelivery:
    gguf = GgufCheckpoint(f16)
    return GgufDelivery(parse_target(to), gguf, config_of(gguf), **more)  # type: ignore[arg-type]


def test_types_are_llama_cpps_and_can_be_changed(f16: Path) -> None:
    made = delivery(f16, "gguf:Q2_K-pure")
    assert set(made.kinds.values()) == {"Q2_K"}
    changed = delivery(f16, "gguf:Q2_K-pure", kinds={"blk.1.ffn_up": "Q4_K"})
    assert changed.kinds["blk.1.ffn_up"] == "Q4_K"
    assert changed.grids()["model.layers.1.mlp.up_proj"] != changed.grids()["model.layers.0.mlp.up_proj"]
    sizes = [sum(t.size_bytes for t in d.planned()) for d in (made, changed)]
    assert sizes[0] < sizes[1]


def test_a_plain_file_has_the_planned_size_and_runs(f16: Path, tmp_path: Path) -> None:
    made = delivery(f16, "gguf:Q2_K-pure")
    given = Given(made.template, made.template)
    parent = load_floats(given, made.template, "cpu")
    job = Job(parent, parent, PROMPTS, made.grids(), 0, frozenset())
    solver = made.baseline()
    assert isinstance(solver, PlainGgufSolver)
    steps = list(solver.steps(job, []))
    solution = solver.solution(job, steps)
    verified = made.write(tmp_path / "new.gguf", parent, solution)
    assert verified.exact >= 7 * len(steps)
    written = GgufCheckpoint(tmp_path / "new.gguf")
    assert written.quantization == "Q2_K"
    assert {k for n, k in written.types().items() if not n.endswith("norm")} == {"Q2_K"}
    planned = sum(t.size_bytes for t in made.planned())
    header = tmp_path.joinpath("new.gguf").stat().st_size - planned
    assert 0 < header < 100_000
    model = LlamaModel(written.path, EngineOptions(threads=1, parallel=1))
    assert model.vocabulary == 1024
    model.close()
    resumed: list[Step] = list(solver.steps(job, steps[:1]))
    for ours, theirs in zip([*steps[:1], *resumed], steps, strict=True):
        assert all(torch.equal(ours.tensors[name], theirs.tensors[name]) for name in theirs.tensors)


def test_what_a_solver_gave_more_bits_has_them_in_the_file(f16: Path, tmp_path: Path) -> None:
    made = delivery(f16, "gguf:Q2_K-pure")
    parent = load_floats(Given(made.template, made.template), made.template, "cpu")
    raised = "model.layers.1.mlp.down_proj"
    grids = {**made.grids(), raised: SuperblockGrid("Q5_K")}
    job = Job(parent, parent, PROMPTS, grids, 0, frozenset())
    solver = made.baseline()
    solution = solver.solution(job, list(solver.steps(job, [])))
    made.write(tmp_path / "new.gguf", parent, solution)
    types = GgufCheckpoint(tmp_path / "new.gguf").types()
    assert types["blk.1.ffn_down"] == "Q5_K"
    assert types["blk.0.ffn_down"] == "Q2_K"


def test_an_embedding_that_ggml_would_not_round_is_refused_at_once(f16: Path) -> None:
    with pytest.raises(InputError, match=r"token_embd as IQ2_XXS needs .*; choose gguf:IQ2_XXS$"):
        delivery(f16, "gguf:IQ2_XXS-pure")
    assert delivery(f16, "gguf:IQ2_XXS").kinds["token_embd"] == "Q5_K"
    assert delivery(f16, "gguf:IQ4_XS-pure").kinds["token_embd"] == "IQ4_XS"


def test_a_type_without_scales_is_not_trained(f16: Path) -> None:
    assert delivery(f16, "gguf:Q4_K_M").untrained() is None
    table = delivery(f16, "gguf:IQ4_XS")
    assert isinstance(table.untrained(), SafetyImportance)
    assert isinstance(solver_of("qrealign", table), SafetyImportance)
    assert not isinstance(solver_of("qrealign", delivery(f16, "gguf:Q4_K_M")), SafetyImportance)
