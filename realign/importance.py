"""How much each input of a linear layer matters: mean squared inputs, as llama.cpp's importance matrix.

`llama-imatrix` takes all tokens of a text alike. A refusal is decided at the last token of a prompt and
by malicious prompts, of which ordinary calibration text has none: here both can be given more weight.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qaudit.errors import InputError
from realign.activation_stream import unpadded
from realign.decoder_blocks import STAGES, blocks_of, linear, module_name
from realign.grids.ggml_quantizer import ggml_quantized
from realign.job import CalibrationTokens
from realign.superblock_linear import SuperblockLinear


@dataclass(frozen=True, slots=True)
class TokenWeights:
    """Which tokens count how much.

    Attributes:
        malicious: share of the malicious prompts in the whole, 0 to 1.
        last: share of the last token of a prompt in that prompt's kind, 0 to 1; None: all tokens alike.
    """

    malicious: float = 0.5
    last: float | None = None


PLAIN = TokenWeights()


@torch.no_grad()
def channel_importance(
    model: Any,  # noqa: ANN401
    prompts: CalibrationTokens,
    weights: TokenWeights = PLAIN,
) -> dict[str, Tensor]:
    """Return the weighted mean of x^2 of every input of the blocks' linear layers.

    Args:
        model: transformers model; it is run as it is.
        prompts: to run it on.
        weights: of their tokens.

    Shapes:
        float32 [I] by module name; layers that read the same input share a tensor.

    Raises:
        InputError: no prompts of a kind that has a share, or a share outside of 0 to 1.
    """
    shares = {"malicious": weights.malicious, "benign": 1 - weights.malicious}
    last = 0.0 if weights.last is None else weights.last
    if not all(0 <= share <= 1 for share in (*shares.values(), last)):
        raise InputError(f"shares of {weights.malicious} and {weights.last} are not from 0 to 1")
    total: dict[str, Tensor] = {}
    for kind, share in shares.items():
        given: Sequence[Sequence[int]] = getattr(prompts, kind)
        if not share:
            continue
        if not given:
            raise InputError(f"no {kind} prompts to calibrate on; give some, or give them no share")
        sums = _sums(model, given)
        for name, (of_all, of_last) in sums.items():
            means = of_all / sum(map(len, given))
            if weights.last is not None:
                means = (1 - last) * means + last * of_last / len(given)
            total[name] = total.get(name, 0) + share * means
    return total


def plain_encoded(
    weights: Mapping[str, Tensor], kinds: Mapping[str, str], importance: Mapping[str, Tensor]
) -> dict[str, SuperblockLinear]:
    """Quantize matrices as llama.cpp does with an importance matrix, by module name.

    Args:
        weights: float [O, I] by module name.
        kinds: ggml type by module name; what is not named is left out.
        importance: mean squared inputs by module name; a matrix without is rounded with all inputs alike.

    Raises:
        InputError: a matrix does not fit its type.
        MissingExtra: llama.cpp is not installed.
    """
    return {
        name: ggml_quantized(weight, kinds[name], importance.get(name))
        for name, weight in weights.items()
        if name in kinds
    }


def _sums(model: Any, prompts: Sequence[Sequence[int]]) -> dict[str, tuple[Tensor, Tensor]]:  # noqa: ANN401
    """Return sums of x^2 over all tokens and over last tokens, float64 [I], by module name."""
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    with _watched(model, sums):
        for batch in unpadded(prompts):
            model.model(batch.to(model.device), use_cache=False)
    return {
        module_name(number, name): sums[module_name(number, stage.linears[0])]
        for number in range(len(blocks_of(model)))
        for stage in STAGES
        for name in stage.linears
    }


@contextmanager
def _watched(model: Any, sums: dict[str, tuple[Tensor, Tensor]]) -> Iterator[None]:  # noqa: ANN401
    def note(name: str) -> Any:  # noqa: ANN401
        def hook(_module: nn.Module, given: tuple[Any, ...]) -> None:
            squares = given[0].double().square()
            all_tokens, last_tokens = squares.sum(dim=(0, 1)), squares[:, -1].sum(dim=0)
            if name in sums:
                all_tokens, last_tokens = all_tokens + sums[name][0], last_tokens + sums[name][1]
            sums[name] = all_tokens, last_tokens

        return hook

    hooks = [
        linear(block, stage.linears[0]).register_forward_pre_hook(note(module_name(number, stage.linears[0])))
        for number, block in enumerate(blocks_of(model))
        for stage in STAGES
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
