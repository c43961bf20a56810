import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("llama_cpp")

import torch
from checkpoints import converted as by_converter
from checkpoints.converted import VARIANTS, converted, hf_logits, llama_logits, tiny_model, with_weights
from torch import Tensor

from qaudit.checkpoints.gguf import read_gguf
from qaudit.checkpoints.gguf_as_hf import GgufAsHf, require_same_model
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.protocol import EngineOptions
from qaudit.errors import InputError
from qaudit.lab.hf_weights import read_weights
from qaudit.lab.members import reference_folder
from realign.gguf_file import NewTensor, write_gguf_file
from realign.grids.target import gguf_grids, parse_target
from realign.job import Solution
from realign.writers.gguf import write_gguf

NOTHING = Solution({}, {})


@pytest.fixture(scope="module")
def config() -> dict:
    return json.loads((reference_folder() / "config.json").read_text())


@pytest.fixture(scope="module")
def floats() -> dict[str, Tensor]:
    return {name: torch.from_numpy(values) for name, values in read_weights(reference_folder()).items()}


def packed(path: Path) -> dict[str, tuple[str, bytes]]:
    raw = path.read_bytes()
    return {t.name: (t.type.name, raw[t.offset : t.offset + t.size]) for t in read_gguf(path).tensors}


@pytest.mark.parametrize("name", ["Q4_K_M", "Q2_K-pure", "IQ4_XS"])
def test_without_a_solution_it_is_what_llama_cpp_writes(
    member: Callable[[str], Path], tmp_path: Path, floats: dict[str, Tensor], config: dict, name: str
) -> None:
    target = parse_target(f"gguf:{name}")
    kinds = target.kinds(member("F16"))
    changed = {"general.file_type": target.file_type_number, "qaudit.lab.member": name}
    made = write_gguf(tmp_path / "new.gguf", member("F16"), kinds, NOTHING, floats, config, changed=changed)
    assert packed(tmp_path / "new.gguf") == packed(member(name))
    assert set(made.values()) == {"copied", "quantized"}
    old, new = read_gguf(member(name)), read_gguf(tmp_path / "new.gguf")
    assert {key: repr(v) for key, v in old.metadata.items()} == {
        key: repr(v) for key, v in new.metadata.items()
    }


def learned(floats: dict[str, Tensor], kinds: dict[str, str], config: dict) -> Solution:
    """Ranges that no search of llama.cpp's would choose, and norms that are other than the parent's."""
    encoded = {}
    for name, grid in gguf_grids(kinds, config).items():
        weight = floats[f"{name}.weight"].detach()
        by_group = weight.reshape(len(weight), grid.groups_of(weight.shape[1]), -1)
        encoded[name] = grid.encode(weight, by_group.amin(dim=-1) * 0.6, by_group.amax(dim=-1) * 0.7)
    norms = {n: v.detach() * 1.5 for n, v in floats.items() if n.endswith("input_layernorm.weight")}
    return Solution(encoded, norms)


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory,
    member: Callable[[str], Path],
    floats: dict[str, Tensor],
    config: dict,
) -> tuple[Path, Solution, dict[str, str]]:
    path = tmp_path_factory.mktemp("written") / "new.gguf"
    kinds = parse_target("gguf:Q4_K_M").kinds(member("F16"))
    solution = learned(floats, kinds, config)
    return path, solution, write_gguf(path, member("F16"), kinds, solution, floats, config)


def test_a_solution_is_read_back_exactly(
    written: tuple[Path, Solution, dict[str, str]], floats: dict[str, Tensor], config: dict
) -> None:
    path, solution, made = written
    view = GgufAsHf(GgufCheckpoint(path), config)
    assert list(made.values()).count("solution") == 22
    assert list(made.values()).count("stored") == 3
    for name, encoded in solution.encoded.items():
        np.testing.assert_array_equal(view.tensor(f"{name}.weight"), encoded.weight().numpy())
    for name, values in solution.floats.items():
        np.testing.assert_array_equal(view.tensor(name), values.numpy())
    np.testing.assert_array_equal(view.tensor("model.norm.weight"), floats["model.norm.weight"].numpy())


def test_it_is_the_same_model_and_llama_cpp_runs_it(
    written: tuple[Path, Solution, dict[str, str]], member: Callable[[str], Path]
) -> None:
    path, _, _ = written
    require_same_model(GgufCheckpoint(path), HfCheckpoint(reference_folder()))
    assert path.stat().st_size == pytest.approx(member("Q4_K_M").stat().st_size, rel=1e-3)
    model = LlamaModel(path, EngineOptions(threads=1, parallel=1, judge=None))
    tokens = model.tokenize("how do i plant a tree")
    model.close()
    assert len(tokens) > 3


def test_what_was_not_touched_is_copied_and_not_rounded_twice(
    member: Callable[[str], Path], tmp_path: Path, config: dict
) -> None:
    # the parent is the failing file itself, decoded
    failing = GgufCheckpoint(member("Q4_K_M"))
    view = GgufAsHf(failing, config)
    decoded = {name: torch.from_numpy(view.tensor(name)) for name in view.names()}
    made = write_gguf(tmp_path / "new.gguf", failing.path, failing.types(), NOTHING, decoded, config)
    assert set(made.values()) == {"copied"}
    assert packed(tmp_path / "new.gguf") == packed(failing.path)
    decoded["model.layers.1.self_attn.q_proj.weight"][0, 0] += 1
    made = write_gguf(tmp_path / "new.gguf", failing.path, failing.types(), NOTHING, decoded, config)
    assert [name for name, how in made.items() if how != "copied"] == ["blk.1.attn_q"]


def test_what_does_not_fit_together(
    member: Callable[[str], Path], tmp_path: Path, floats: dict[str, Tensor], config: dict
) -> None:
    kinds = parse_target("gguf:Q4_K_M").kinds(member("F16"))
    name = "model.layers.0.self_attn.q_proj"
    encoded = learned(floats, kinds, config).encoded[name]

    def write(
        kinds: dict[str, str], solution: Solution, floats: dict[str, Tensor], config: dict = config
    ) -> None:
        write_gguf(tmp_path / "new.gguf", member("F16"), kinds, solution, floats, config)

    with pytest.raises(InputError, match="the solution holds Q4_K, the file is to have Q5_K"):
        write({**kinds, "blk.0.attn_q": "Q5_K"}, Solution({name: encoded}, {}), floats)
    with pytest.raises(InputError, match=r"has no place for model\.layers\.9\.mlp\.gate\.weight"):
        write(kinds, Solution({"model.layers.9.mlp.gate": encoded}, {}), floats)
    with pytest.raises(InputError, match=r"has no blk\.9\.attn_q"):
        write({**kinds, "blk.9.attn_q": "Q4_K"}, NOTHING, floats)
    with pytest.raises(InputError, match=r"the parent has no model\.embed_tokens\.weight"):
        write(kinds, NOTHING, {n: v for n, v in floats.items() if "embed" not in n})
    with pytest.raises(InputError, match=r"\(256,\), the file needs \(1024, 256\)"):
        write(kinds, NOTHING, {**floats, "model.embed_tokens.weight": torch.ones(256)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_layout_lies_as_the_converter_lays_it(tmp_path: Path, variant: str) -> None:
    template = by_converter.write_gguf(tmp_path / "old.gguf", tiny_model(variant), variant)
    model = tiny_model(variant, seed=1)
    write_gguf(tmp_path / "new.gguf", template, {}, NOTHING, model.state_dict(), model.config.to_dict())
    wanted, found = converted(model, variant), GgufCheckpoint(tmp_path / "new.gguf")
    assert list(found.names()) == [name.removesuffix(".weight") for name in wanted]
    for name, values in wanted.items():
        got = found.rows(name.removesuffix(".weight"))
        np.testing.assert_array_equal(got.reshape(values.shape), values)


@pytest.mark.parametrize("variant", ["llama", "llama-tied", "qwen3", "gemma2", "phi3", "phi2"])
def test_llama_cpp_computes_what_the_solution_says(tmp_path: Path, variant: str) -> None:
    model = tiny_model(variant)
    template = by_converter.write_gguf(tmp_path / "old.gguf", model, variant)
    checkpoint = GgufCheckpoint(template)
    config = model.config.to_dict()
    kinds = {
        module: "Q8_0"
        for module, kind in checkpoint.types().items()
        if ".attn_" in module or ".ffn_" in module
        if checkpoint.shape(module)[0] > 1 and kind == "F32"
    }
    solution = learned(dict(model.named_parameters()), kinds, config)
    assert len(solution.encoded) >= 4 * model.config.num_hidden_layers
    write_gguf(tmp_path / "new.gguf", template, kinds, solution, model.state_dict(), config)
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    weights |= {f"{name}.weight": entry.weight().numpy() for name, entry in solution.encoded.items()}
    weights |= {name: value.detach().numpy() for name, value in solution.floats.items()}
    tokens = [260, 5, 9, 60, 121, 7, 200]
    meant = hf_logits(with_weights(model, weights), tokens)
    got = llama_logits(tmp_path / "new.gguf", tokens)
    # llama.cpp rounds what goes into a Q8_0 matrix to 8 bits
    assert np.linalg.norm(got - meant) < 0.06 * np.linalg.norm(meant)
    assert (got.argmax(axis=1) == meant.argmax(axis=1)).mean() > 0.8


def test_a_split_set_becomes_one_file(
    member: Callable[[str], Path], tmp_path: Path, floats: dict[str, Tensor], config: dict
) -> None:
    whole = read_gguf(member("F16"))
    raw = whole.path.read_bytes()
    for number, tensors in enumerate((whole.tensors[:9], whole.tensors[9:])):
        write_gguf_file(
            tmp_path / f"model-0000{number + 1}-of-00002.gguf",
            whole.path,
            [NewTensor(t.name, t.shape, t.type.name) for t in tensors],
            [[raw[t.offset : t.offset + t.size]] for t in tensors],
            {"split.no": number, "split.count": 2, "split.tensors.count": len(whole.tensors)},
        )
    kinds = parse_target("gguf:Q4_K_M").kinds(tmp_path / "model-00002-of-00002.gguf")
    assert kinds == parse_target("gguf:Q4_K_M").kinds(whole.path)
    # any of the set may be named
    write_gguf(tmp_path / "new.gguf", tmp_path / "model-00002-of-00002.gguf", kinds, NOTHING, floats, config)
    assert packed(tmp_path / "new.gguf") == packed(member("Q4_K_M"))
    assert not any(key.startswith("split.") for key in read_gguf(tmp_path / "new.gguf").metadata)
