from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import converted as by_converter
from checkpoints.converted import (
    VARIANTS,
    hf_logits,
    llama_logits,
    safetensors_torch,
    save,
    tiny_model,
    torch,
    transformers,
    with_weights,
    write_gguf,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from qaudit.checkpoints.gguf_as_hf import GgufAsHf, require_same_model
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.errors import Incomparable, InputError, MalformedFile

REFERENCE = Path(__file__).parents[2] / "qaudit" / "lab" / "reference"
TOKENS = [260, 5, 17, 90, 100, 31, 200, 44, 8, 9, 150, 77, 61, 33, 250, 3, 4, 66, 120, 11]
# logits are within 12; ggml looks GELU up in a table of float16, SiLU is computed
BOUND = {"gemma": 1e-2, "gemma2": 1e-2, "gemma3": 1e-2, "phi2": 1e-2}
EXACT_BOUND = 1e-4
Change = Callable[[dict[str, Any], by_converter.Arrays], None]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def pair(tmp_path: Path) -> Callable[..., tuple[GgufCheckpoint, HfCheckpoint, Any]]:
    """Return a GGUF and a reference of one variant, and the model that both were made from."""

    def make(variant: str = "llama", change: Change | None = None, **more: Any) -> tuple[Any, Any, Any]:
        model = tiny_model(variant)
        gguf = write_gguf(tmp_path / "model.gguf", model, variant, change=change, **more)
        return GgufCheckpoint(gguf), HfCheckpoint(save(model, tmp_path / "hf")), model

    return make


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_comes_back_and_llama_cpp_agrees(variant: str, tmp_path: Path, pair: Any) -> None:
    gguf, reference, model = pair(variant)
    require_same_model(gguf, reference)
    view = GgufAsHf(gguf, reference.config)
    named = dict(model.named_parameters())
    assert sorted(view.names()) == sorted(named)
    for name, parameter in named.items():
        expected = parameter.detach().numpy()
        assert view.shape(name) == expected.shape
        decoded = view.tensor(name)
        assert decoded.dtype == np.float32
        np.testing.assert_array_equal(decoded, expected, err_msg=name)
    # the layout is the true one if real llama.cpp computes the same from the file
    theirs = llama_logits(gguf.path, TOKENS)
    other = with_weights(tiny_model(variant, seed=1), {name: view.tensor(name) for name in view.names()})
    ours = hf_logits(other, TOKENS)
    assert np.abs(ours).max() > 3
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=BOUND.get(variant, EXACT_BOUND))


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("llama", "attn_q.weight"),
        ("llama", "attn_k.weight"),
        ("gemma", "attn_norm.weight"),
        ("gemma3", "attn_k_norm.weight"),
    ],
)
def test_the_bound_tells_a_wrong_layout(variant: str, name: str, tmp_path: Path) -> None:
    """As if the converter's permutation, or its 1 for norms, had been left out of one tensor."""

    def spoil(_: dict[str, Any], tensors: by_converter.Arrays) -> None:
        values = tensors[f"blk.1.{name}"]
        heads = 4 if "_q" in name else 2
        tensors[f"blk.1.{name}"] = values - 1 if "norm" in name else by_converter.interleaved(values, heads)

    model = tiny_model(variant)
    theirs = llama_logits(write_gguf(tmp_path / "x.gguf", model, variant, change=spoil), TOKENS)
    assert np.abs(theirs - hf_logits(model, TOKENS)).max() > 20 * BOUND.get(variant, EXACT_BOUND)


@pytest.mark.parametrize("attention", [None, 1.0, 1.5])
def test_what_yarn_multiplies_by_is_what_llamacpp_multiplies_by(
    attention: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = 1 + 0.1 * np.log(4)  # llama.cpp's, in any case
    rope = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}
    given = {} if attention is None else {"attention_factor": attention}
    monkeypatch.setitem(VARIANTS, "llama-yarn", ("llama", "llama", {"rope_parameters": rope | given}))
    model = tiny_model("llama-yarn")
    folder = HfCheckpoint(save(model, tmp_path / "folder"))

    def written(name: str, factor: float | None) -> GgufCheckpoint:
        def change(keys: dict[str, Any], _: by_converter.Arrays) -> None:
            scaling = {"type": "yarn", "factor": 4.0, "original_context_length": 32}
            keys.update({f"llama.rope.scaling.{key}": value for key, value in scaling.items()})
            if factor is not None:
                keys["llama.rope.scaling.attn_factor"] = factor

        return GgufCheckpoint(write_gguf(tmp_path / name, model, "llama-yarn", change=change))

    expected = hf_logits(model, TOKENS)
    honest = written("honest.gguf", None if attention is None else attention / own)
    require_same_model(honest, folder)
    np.testing.assert_allclose(llama_logits(honest.path, TOKENS), expected, rtol=0, atol=EXACT_BOUND)
    other = written("other.gguf", 0.8)
    assert np.abs(llama_logits(other.path, TOKENS) - expected).max() > 20 * EXACT_BOUND
    with pytest.raises(Incomparable, match="rope attention factor"):
        require_same_model(other, folder)


@pytest.mark.parametrize("variant", ["llama", "gemma2", "phi3", "qwen3moe"])
def test_float16_files(variant: str, pair: Any) -> None:
    gguf, reference, model = pair(variant, half=True)
    view = GgufAsHf(gguf, reference.config)
    assert "F16" in gguf.types().values()
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(view.tensor(name), parameter.detach().numpy(), err_msg=name)


@pytest.mark.parametrize("variant", ["llama-bias", "gemma3", "phi3", "mixtral"])
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_rows_are_those_of_the_tensor(variant: str, data: st.DataObject, tmp_path: Path) -> None:
    model = tiny_model(variant)
    path = tmp_path / f"{variant}.gguf"
    if not path.is_file():
        write_gguf(path, model, variant)
    view = GgufAsHf(GgufCheckpoint(path), model.config.to_dict())
    name = data.draw(st.sampled_from(view.names()))
    whole = view.tensor(name)
    flat = whole[None] if whole.ndim == 1 else whole.reshape(-1, whole.shape[-1])
    start = data.draw(st.integers(0, len(flat)))
    stop = data.draw(st.integers(start, len(flat)))
    np.testing.assert_array_equal(view.rows(name, start, stop), flat[start:stop])
    np.testing.assert_array_equal(view.rows(name), flat)
    with pytest.raises(InputError, match="rows, not"):
        view.rows(name, 0, len(flat) + 1)


def test_the_lab_reference_comes_back_bit_for_bit(f16: Path) -> None:
    gguf, reference = GgufCheckpoint(f16), HfCheckpoint(REFERENCE)
    require_same_model(gguf, reference)
    view = GgufAsHf(gguf, reference.config)
    for module in reference.names():
        stored = reference.rows(module).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(view.rows(f"{module}.weight"), stored, err_msg=module)
    assert {name.removesuffix(".weight") for name in view.names()} == set(reference.names())


def test_a_quantized_lab_member_fits(member: Callable[[str], Path]) -> None:
    gguf, reference = GgufCheckpoint(member("Q4_K_M")), HfCheckpoint(REFERENCE)
    require_same_model(gguf, reference)
    view = GgufAsHf(gguf, reference.config)
    for name in view.names():
        exact = reference.rows(name.removesuffix(".weight")).astype(np.float64)
        error = np.linalg.norm(view.rows(name) - exact) / np.linalg.norm(exact)
        # rows in another order would be as far off as other weights, about 1.4
        assert error < 0.15, name


def test_a_phi_2_with_q_k_v_in_one_matrix(pair: Any) -> None:
    def fuse(_: dict[str, Any], tensors: by_converter.Arrays) -> None:
        for block in ("blk.0", "blk.1"):
            for part in ("weight", "bias"):
                pieces = [tensors.pop(f"{block}.attn_{letter}.{part}") for letter in "qkv"]
                tensors[f"{block}.attn_qkv.{part}"] = np.concatenate(pieces)

    gguf, reference, model = pair("phi2", fuse)
    view = GgufAsHf(gguf, reference.config)
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(view.tensor(name), parameter.detach().numpy(), err_msg=name)
    np.testing.assert_allclose(llama_logits(gguf.path, TOKENS), hf_logits(model, TOKENS), rtol=0, atol=1e-2)


def test_the_text_part_of_a_gemma_3_with_images(tmp_path: Path) -> None:
    text = tiny_model("gemma3")
    eyes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}  # fmt: skip
    config = transformers.AutoConfig.for_model(
        "gemma3", text_config=text.config.to_dict(), vision_config=eyes
    )
    named = dict(transformers.AutoModelForCausalLM.from_config(config).named_parameters())
    gguf = GgufCheckpoint(write_gguf(tmp_path / "m.gguf", text, "gemma3"))
    view = GgufAsHf(gguf, config.to_dict())
    assert set(view.names()) == {
        name for name in named if "vision_tower" not in name and "multi_modal" not in name
    }
    assert all(view.shape(name) == named[name].shape for name in view.names())
    # files of the hub have the names of an older transformers
    folder = save(text, tmp_path / "hf")
    (folder / "model.safetensors").unlink()
    old = {f"language_model.{name}": p.detach().clone() for name, p in text.named_parameters()}
    safetensors_torch.save_file(
        {**old, "vision_tower.x.weight": torch.zeros(2, 2)}, folder / "model.safetensors"
    )
    config.to_json_file(folder / "config.json", use_diff=False)
    require_same_model(gguf, HfCheckpoint(folder))


def test_embeddings_cut_off_after_the_last_token_are_filled_with_zeros(pair: Any) -> None:
    def cut(keys: dict[str, Any], tensors: by_converter.Arrays) -> None:
        tensors["token_embd.weight"] = tensors["token_embd.weight"][:262]
        keys["tokens"], keys["types"] = keys["tokens"][:262], keys["types"][:262]

    gguf, reference, model = pair("gemma3", cut)
    require_same_model(gguf, reference)
    view = GgufAsHf(gguf, reference.config)
    name = "model.embed_tokens.weight"
    assert (view.shape(name), view.vocabulary) == ((272, 64), 262)
    expected = model.get_parameter(name).detach().numpy()
    np.testing.assert_array_equal(view.tensor(name)[:262], expected[:262])
    assert not view.tensor(name)[262:].any()
    assert not view.rows(name, 264, 270).any()
    np.testing.assert_array_equal(view.rows(name, 260, 263)[:2], expected[260:262])


def test_an_output_matrix_beside_tied_embeddings_must_be_the_same(pair: Any) -> None:
    def copy(_: dict[str, Any], tensors: by_converter.Arrays) -> None:
        tensors["output.weight"] = tensors["token_embd.weight"].copy()

    def other(_: dict[str, Any], tensors: by_converter.Arrays) -> None:
        copy(_, tensors)
        tensors["output.weight"][-1, -1] += 1

    gguf, reference, _ = pair("llama-tied", copy)
    require_same_model(gguf, reference)
    assert "lm_head.weight" not in GgufAsHf(gguf, reference.config).names()
    gguf, reference, _ = pair("llama-tied", other)
    with pytest.raises(Incomparable, match="its output matrix is not its embedding matrix"):
        GgufAsHf(gguf, reference.config)


def drop(name: str) -> Change:
    return lambda _, tensors: tensors.__delitem__(name)


def put(name: str, *shape: int) -> Change:
    return lambda _, tensors: tensors.__setitem__(name, np.zeros(shape, np.float32))


def state(**values: Any) -> Change:
    return lambda keys, _: keys.update({k.replace("__", "."): v for k, v in values.items()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            state(llama__attention__head_count=2, llama__attention__head_count_kv=4),
            "heads 2, the reference has 4",
        ),
        (state(llama__attention__head_count_kv=4), "key-value heads 4, the reference has 2"),
        (state(llama__attention__key_length=32), "head size 32, the reference has 16"),
        (state(llama__embedding_length=128), "hidden size 128, the reference has 64"),
        (state(llama__block_count=3), "layers 3, the reference has 2"),
        (state(llama__rope__freq_base=1e6), "rope theta 1000000, the reference has 10000"),
        (drop("blk.1.ffn_up.weight"), r"lacks blk.1.ffn_up for model.layers.1.mlp.up_proj.weight"),
        (drop("output.weight"), "lacks output for lm_head.weight"),
        (drop("token_embd.weight"), "lacks token_embd"),
        (put("blk.0.attn_q.bias", 64), r"has blk.0.attn_q.bias, which the reference has not"),
        (put("blk.2.attn_q.weight", 64, 64), "has blk.2.attn_q, which the reference has not"),
        (put("blk.0.attn_q.scale", 1), "has blk.0.attn_q.scale, which the reference has not"),
        (put("blk.0.attn_v.weight", 64, 64), r"blk.0.attn_v is \(64, 64\), .* needs \(32, 64\)"),
        (put("blk.0.attn_norm.weight", 32), r"blk.0.attn_norm is \(1, 32\), .* needs \(1, 64\)"),
        (state(architecture="qwen2"), "architecture 'qwen2', a llama reference needs 'llama'"),
        (state(architecture="mamba"), "architecture 'mamba' is not known .* known: llama, "),
    ],
)
def test_another_model_is_refused_in_one_line(change: Change, message: str, pair: Any) -> None:
    gguf, reference, _ = pair("llama", change)
    with pytest.raises(InputError, match=message) as caught:
        require_same_model(gguf, reference)
    assert "\n" not in str(caught.value)
    assert str(gguf.path) in str(caught.value)


def test_one_number_of_heads_for_every_layer(pair: Any) -> None:
    gguf, reference, _ = pair("llama", state(llama__attention__head_count_kv=[2, 2]))
    require_same_model(gguf, reference)
    gguf, reference, _ = pair("llama", state(llama__attention__head_count_kv=[2, 1]))
    with pytest.raises(MalformedFile, match=r"head_count_kv is .* not one positive whole number"):
        GgufAsHf(gguf, reference.config)


def test_a_vocabulary_that_a_config_makes_up(pair: Any) -> None:
    gguf, reference, _ = pair()
    assert GgufAsHf(gguf, {**reference.config, "vocab_size": 272 + 4096}).shape("lm_head.weight") == (
        4368,
        64,
    )
    with pytest.raises(Incomparable, match="vocabulary 272, the reference has 16777216"):
        GgufAsHf(gguf, {**reference.config, "vocab_size": 1 << 24})


def test_unknown_parameters(pair: Any) -> None:
    gguf, reference, _ = pair()
    view = GgufAsHf(gguf, reference.config)
    for ask in (view.shape, view.rows, view.tensor):
        with pytest.raises(InputError, match=r"gives no parameter 'lm_head.bias'"):
            ask("lm_head.bias")


def test_an_odd_head_size_has_no_pairs(pair: Any) -> None:
    gguf, reference, _ = pair(
        "llama", state(llama__attention__key_length=15, llama__attention__value_length=15)
    )
    with pytest.raises(MalformedFile, match="odd head size"):
        GgufAsHf(gguf, {**reference.config, "head_dim": 15})
