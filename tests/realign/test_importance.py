from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from qaudit.errors import InputError
from realign.calibration_activations import Call, calls_into_blocks, module_calls
from realign.decoder_blocks import blocks_of, linear
from realign.grids.superblock_grid import SuperblockGrid
from realign.importance import TokenWeights, channel_importance, plain_encoded
from realign.job import CalibrationTokens
from realign.plain_quantization import load_float

O_PROJ = "model.layers.1.self_attn.o_proj"


def inputs_one_by_one(model, prompts: list[list[int]]) -> list[torch.Tensor]:  # noqa: ANN001
    """What goes into the second block's output projection, [T, I] a prompt."""
    found = []
    for prompt in prompts:
        calls = calls_into_blocks(model, [torch.tensor([prompt])])
        hidden = calls[0][0].hidden
        first, second = blocks_of(model)[:2]
        with torch.no_grad():
            after = first(hidden, **calls[0][0].arguments)
        seen = module_calls(second, [Call(after, calls[1][0].arguments)], ["self_attn.o_proj"])
        found.append(seen["self_attn.o_proj"][0].hidden[0].double())
    return found


def test_weighted_means(grouped: Path, prompts: list[list[int]]) -> None:
    model = load_float(grouped)
    malicious, benign = prompts[:2], prompts[2:]
    tokens = CalibrationTokens(tuple(map(tuple, malicious)), tuple(map(tuple, benign)))
    rows = {"malicious": inputs_one_by_one(model, malicious), "benign": inputs_one_by_one(model, benign)}
    means = {kind: torch.cat(found).square().mean(dim=0) for kind, found in rows.items()}
    ends = {kind: torch.stack([r[-1] for r in found]).square().mean(dim=0) for kind, found in rows.items()}
    plain = channel_importance(model, tokens, TokenWeights(malicious=0.25))[O_PROJ]
    torch.testing.assert_close(plain, 0.25 * means["malicious"] + 0.75 * means["benign"])
    last = channel_importance(model, tokens, TokenWeights(malicious=1.0, last=0.5))[O_PROJ]
    torch.testing.assert_close(last, 0.5 * means["malicious"] + 0.5 * ends["malicious"])


def test_every_layer_has_one_and_the_model_is_left_alone(grouped: Path, prompts: list[list[int]]) -> None:
    model = load_float(grouped)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = channel_importance(model, CalibrationTokens(tuple(map(tuple, prompts)), ((5, 6),)))
    assert len(found) == 7 * len(blocks_of(model))
    for number, block in enumerate(blocks_of(model)):
        for name in ("self_attn.q_proj", "mlp.down_proj"):
            inputs = linear(block, name).in_features
            assert found[f"model.layers.{number}.{name}"].shape == (inputs,)
    assert torch.equal(found["model.layers.0.mlp.gate_proj"], found["model.layers.0.mlp.up_proj"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_what_cannot_be_weighed(grouped: Path) -> None:
    model = load_float(grouped)
    with pytest.raises(InputError, match="no malicious prompts to calibrate on"):
        channel_importance(model, CalibrationTokens((), ((5, 6),)))
    with pytest.raises(InputError, match="not from 0 to 1"):
        channel_importance(model, CalibrationTokens(((5,),), ((5,),)), TokenWeights(malicious=1.5))
    with pytest.raises(InputError, match="not from 0 to 1"):
        channel_importance(model, CalibrationTokens(((5,),), ((5,),)), TokenWeights(last=-1))


def test_plain_quantization_heeds_it() -> None:
    pytest.importorskip("llama_cpp")
    weight = torch.randn(32, 256, generator=torch.Generator().manual_seed(0))
    importance = torch.ones(256)
    importance[:16] = 1e4
    kinds = {"a": "Q2_K", "b": "Q2_K"}
    found = plain_encoded({"a": weight, "b": weight, "c": weight}, kinds, {"a": importance})
    assert set(found) == {"a", "b"}
    off = {name: (entry.weight() - weight)[:, :16].square().mean() for name, entry in found.items()}
    assert off["a"] < off["b"]
    assert found["a"].ggml_type == SuperblockGrid("Q2_K").ggml_type
