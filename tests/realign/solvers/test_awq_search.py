"""The AWQ search: what it changes must cancel out, and what it finds must beat plain rounding."""

from collections.abc import Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from qaudit.engines.protocol import Conversation  # noqa: E402
from qaudit.engines.templates import render_conversations  # noqa: E402
from qaudit.lab import grammar  # noqa: E402
from qaudit.lab.member_weights import calibration_texts  # noqa: E402
from qaudit.lab.members import reference_folder  # noqa: E402
from realign.activation_stream import unpadded  # noqa: E402
from realign.calibration_activations import calls_into_blocks, outputs, with_hidden  # noqa: E402
from realign.decoder_blocks import STAGES, blocks_of, linear  # noqa: E402
from realign.plain_quantization import (  # noqa: E402
    AwqRecipe,
    load_float,
    quantize_model,
    round_to_nearest,
    tokenized,
)
from realign.solvers.awq_search import AwqOptions, search_block  # noqa: E402

OPTIONS = AwqOptions(group_size=32)


@torch.no_grad()
def block_outputs(model: Any, hidden: Sequence[torch.Tensor], calls: Sequence[Any]) -> torch.Tensor:
    """What each block makes of the same inputs, all after one another."""
    found = [outputs(block, with_hidden(calls[n], hidden[n])) for n, block in enumerate(blocks_of(model))]
    return torch.cat([states.flatten() for block in found for states in block])


@torch.no_grad()
def float_hidden(model: Any, prompts: Sequence[Sequence[int]]) -> tuple[list[Any], list[Any]]:
    calls = calls_into_blocks(model, unpadded(prompts))
    hidden = [[call.hidden for call in calls[0]]]
    for into, block in zip(calls[:-1], blocks_of(model), strict=False):
        hidden.append(outputs(block, with_hidden(into, hidden[-1])))
    return hidden, calls


@pytest.mark.parametrize("folder", ["grouped", "ungrouped"])
def test_scales_cancel_out(folder: str, prompts: list[list[int]], request: pytest.FixtureRequest) -> None:
    model = load_float(request.getfixturevalue(folder))
    block, calls = blocks_of(model)[0], calls_into_blocks(model, unpadded(prompts))[0]
    meant = outputs(block, calls)
    norms = {
        stage: block.get_submodule(stage.writer).weight.clone() for stage in STAGES if "norm" in stage.writer
    }
    keys = linear(block, "self_attn.k_proj").weight.clone()
    # eight bits: rounding is next to nothing, and a scale that stayed would show
    search_block(block, calls, AwqOptions(group_size=32, bits=8))
    for stage, before in norms.items():
        assert (block.get_submodule(stage.writer).weight / before).std() > 0.1, stage
    scales = norms[STAGES[0]] / block.input_layernorm.weight
    off = linear(block, "self_attn.k_proj").weight / scales - keys
    assert off.norm() < 0.01 * keys.norm()
    for found, wanted in zip(outputs(block, calls), meant, strict=True):
        assert (found - wanted).norm() < 0.03 * wanted.norm()


@pytest.mark.parametrize("folder", ["grouped", "ungrouped"])
def test_beats_rounding_on_other_prompts(
    folder: str, prompts: list[list[int]], held_out: list[list[int]], request: pytest.FixtureRequest
) -> None:
    """Where a few channels are much larger, as in real models, the error of blocks falls to a half."""
    parent = load_float(request.getfixturevalue(folder))
    hidden, calls = float_hidden(parent, held_out)
    meant = block_outputs(parent, hidden, calls)
    nearest, searched = (load_float(request.getfixturevalue(folder)) for _ in range(2))
    round_to_nearest(nearest, AwqRecipe(OPTIONS))
    quantize_model(searched, prompts, AwqRecipe(OPTIONS))
    errors = [(block_outputs(m, hidden, calls) - meant).square().mean() for m in (nearest, searched)]
    assert errors[1] < 0.5 * errors[0]


def test_beats_rounding_on_the_lab_s_reference() -> None:
    """By a tenth of the logits' squared error at least, on prompts that it was not calibrated on."""
    folder = reference_folder()
    _, harmless = calibration_texts()
    template = (folder / "chat_template.jinja").read_text()
    asked = [Conversation(item.id, item.turns) for item in grammar.suite("lab-core").items[::4]]
    texts = [r.text for r in render_conversations(template, asked, {"bos_token": "<|bos|>"})]
    batches = unpadded(tokenized(folder, texts))

    def logits(model: Any) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([model(batch).logits.flatten(0, 1) for batch in batches])

    meant = logits(load_float(folder))
    nearest, searched = load_float(folder), load_float(folder)
    round_to_nearest(nearest, AwqRecipe())
    quantize_model(searched, tokenized(folder, harmless[::2]), AwqRecipe(AwqOptions(exponents=8)))
    errors = [float((logits(model) - meant).square().mean()) for model in (nearest, searched)]
    assert errors[1] < 0.9 * errors[0]
