from typing import Any

import pytest
from tensor_folders import awq, gptq, llama, loud, quiet

from qaudit.static.model_parts import ModelParts, TensorRow
from qaudit.static.tensors.compare import compare_tensors

LAYER = "model.layers.0."


def parts(tensors: dict[str, Any]) -> ModelParts:
    rows = tuple(TensorRow(name, shape, dtype, 0) for name, (dtype, shape, _) in tensors.items())
    return ModelParts("cand", "safetensors", tensors=rows)


def quantized(make: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (dtype, shape, data) in llama().items():
        module = name.removesuffix(".weight")
        if module.endswith("_proj"):
            found.update(make(module, shape[1], shape[0]))
        else:
            found[name] = (dtype, shape, data)
    return found


def gguf(types: str = "Q4_K", **changes: Any) -> ModelParts:
    names = {"token_embd": (32, 16), "output_norm": (16,)}
    for layer in (0, 1):
        names |= {
            f"blk.{layer}.attn_q": (16, 16),
            f"blk.{layer}.attn_norm": (16,),
            f"blk.{layer}.ffn_up": (32, 16),
        }
    rows = {n: (s, types if len(s) > 1 else "F32") for n, s in names.items()}
    rows |= {n.replace("__", "."): v for n, v in changes.items()}
    return ModelParts(
        "m.gguf", "gguf", tensors=tuple(TensorRow(f"{n}.weight", v[0], v[1], 0) for n, v in rows.items() if v)
    )


REFERENCE = parts(llama())


def test_equal_models() -> None:
    assert compare_tensors(REFERENCE, REFERENCE) == []
    assert compare_tensors(parts(llama("BF16")), REFERENCE) == []
    assert compare_tensors(gguf(), gguf("F16")) == []


@pytest.mark.parametrize("make", [lambda n, i, o: gptq(n, i, o), lambda n, i, o: awq(n, i, o)])
def test_quantized_folders_are_folded(make: Any) -> None:
    assert compare_tensors(parts(quantized(make)), REFERENCE) == []


@pytest.mark.parametrize(
    ("changes", "rule", "severity"),
    [
        ({f"{LAYER}mlp.up_proj.weight": None}, "tensors/missing", "high"),
        ({"model.steering.weight": ("F16", (16, 16), None)}, "tensors/extra", "medium"),
        ({f"{LAYER}mlp.up_proj.bias": ("F16", (32,), None)}, "tensors/bias", "medium"),
        ({f"{LAYER}mlp.up_proj.weight": ("F16", (31, 16), None)}, "tensors/shape", "high"),
        ({"model.embed_tokens.weight": ("F16", (33, 16), None)}, "tensors/shape", "medium"),
        ({f"{LAYER}mlp.up_proj.weight": ("F8_E4M3", (32, 16), None)}, None, ""),
        ({f"{LAYER}mlp.up_proj.weight": ("F4", (32, 16), None)}, "tensors/type-lower", "medium"),
    ],
)
def test_each_rule(changes: dict[str, Any], rule: str | None, severity: str) -> None:
    tensors = {n: v for n, v in {**llama(), **changes}.items() if v}
    assert loud(compare_tensors(parts(tensors), REFERENCE)) == ({rule: severity} if rule else {})


def test_a_bias_that_is_gone() -> None:
    reference = parts({**llama(), f"{LAYER}mlp.up_proj.bias": ("F16", (32,), None)})
    assert loud(compare_tensors(REFERENCE, reference)) == {"tensors/bias": "high"}


def test_what_is_usual_is_no_alarm() -> None:
    tied = parts(
        {**llama(), "lm_head.weight": ("F16", (32, 16), None), "rotary_emb.inv_freq": ("F32", (8,), None)}
    )
    for one, two in ((REFERENCE, tied), (tied, REFERENCE)):
        assert loud(compare_tensors(one, two)) == {}
    wide = compare_tensors(parts(llama("F32")), REFERENCE)
    assert quiet(wide) == {"tensors/type-higher"}
    lora = parts({"base_model.model.x.lora_A.weight": ("F16", (4, 4), None)})
    assert compare_tensors(lora, REFERENCE) == []
    assert compare_tensors(ModelParts("e", "safetensors"), REFERENCE) == []


def test_experts_may_be_fused() -> None:
    fused = parts({**llama(), f"{LAYER}mlp.experts.gate_up_proj": ("BF16", (2, 16, 64), None)})
    apart = {
        f"{LAYER}mlp.experts.{i}.{n}.weight": ("BF16", (32, 16), None)
        for i in (0, 1)
        for n in ("gate_proj", "up_proj")
    }
    findings = compare_tensors(parts({**llama(), **apart}), fused)
    assert loud(findings) == {}
    assert quiet(findings) == {"tensors/missing", "tensors/extra"}


def test_gguf_against_gguf() -> None:
    assert loud(compare_tensors(gguf(blk__1__ffn_up=None), gguf("F16"))) == {"tensors/missing": "high"}
    assert loud(compare_tensors(gguf(evil=((4, 4), "F32")), gguf("F16"))) == {"tensors/extra": "medium"}
    assert loud(compare_tensors(gguf(token_embd=((32, 15), "Q4_K")), gguf("F16"))) == {
        "tensors/shape": "high"
    }
    low = gguf("Q8_0", blk__1__ffn_up=((32, 16), "Q2_K"))
    assert loud(compare_tensors(low, gguf("F16"))) == {"tensors/type-lower": "medium"}


def test_gguf_against_a_folder() -> None:
    rows = {"model.embed_tokens": (32, 16), "model.norm": (16,)}
    for i in (0, 1):
        rows |= {f"model.layers.{i}.self_attn.q_proj": (16, 16), f"model.layers.{i}.mlp.up_proj": (32, 16),
                 f"model.layers.{i}.input_layernorm": (16,)}  # fmt: skip
    reference = parts({f"{name}.weight": ("BF16", shape, None) for name, shape in rows.items()})
    assert compare_tensors(gguf(), reference) == []
    assert loud(compare_tensors(gguf(blk__1__ffn_up=None), reference)) == {"tensors/missing": "high"}
    assert loud(compare_tensors(gguf(blk__1__ffn_up=((16, 32), "Q4_K")), reference)) == {
        "tensors/shape": "high"
    }
