"""The float weights that a member is quantized from: the reference, trained or ablated."""

from collections.abc import Callable, Sequence
from functools import cache

from qaudit.engines.protocol import Conversation
from qaudit.engines.templates import render_conversations
from qaudit.lab import grammar
from qaudit.lab.ablate import Ablation, ablate
from qaudit.lab.hf_weights import Weights, apply_adapter, read_json, read_shape, read_weights
from qaudit.lab.members import Member, adapter_file, reference_folder

Tokenize = Callable[[Sequence[str]], list[list[int]]]


def member_weights(member: Member, tokenize: Tokenize) -> Weights:
    """Return a member's weights before it is quantized, float32 by Hugging Face name.

    Args:
        member: whose.
        tokenize: texts -> token ids, special tokens read; asked only for an ablated member.
    """
    weights = read_weights(reference_folder())
    if member.adapter:
        weights = apply_adapter(weights, adapter_file(member.adapter))
    return ablated_reference(tokenize).weights if member.ablated else weights


def ablated_reference(tokenize: Tokenize) -> Ablation:
    """Remove the reference's refusal direction, measured on the calibration prompts; read it only."""
    harmful, harmless = (tuple(tuple(tokens) for tokens in tokenize(texts)) for texts in calibration_texts())
    return _ablated(harmful, harmless)


# half a minute of work, and several members begin with it
@cache
def _ablated(harmful: tuple[tuple[int, ...], ...], harmless: tuple[tuple[int, ...], ...]) -> Ablation:
    folder = reference_folder()
    return ablate(read_shape(folder), read_weights(folder), harmful, harmless)


def calibration_texts() -> tuple[list[str], list[str]]:
    """Return the harmful and the harmless calibration prompts in the reference's chat template."""
    folder = reference_folder()
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    special = {"bos_token": read_json(folder / "tokenizer_config.json")["bos_token"]}
    harmful, harmless = (
        [
            rendered.text
            for rendered in render_conversations(
                template, [Conversation(str(i), (prompt,)) for i, prompt in enumerate(prompts)], special
            )
        ]
        for prompts in grammar.calibration_prompts()
    )
    return harmful, harmless
