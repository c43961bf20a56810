"""The file whose metadata, tokenizer and configuration a result takes over, held to the reference.

Where the reference is of the wanted format it is that file. Where only the parent or the failing checkpoint
is, nobody answers for what it says: it must turn the calibration prompts into the reference's tokens and
end replies where the reference does. What else it says is left behind (`realign.carried_over`).
"""

from collections.abc import Sequence

import numpy as np

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.hf_repo import MAX_TOKENIZER_BYTES, read_object
from qaudit.checkpoints.tokenizer_settings import TAKEN_WHOLE, TYPES, special_ids, tokenizer_differences
from qaudit.engines.prompt_tokens import PromptTokens, prompt_tokens
from qaudit.engines.protocol import Conversation, EngineName
from qaudit.errors import Incomparable, InputError

# what Llama, Mistral and Qwen compute with in llama.cpp, whose metadata do not name it
ACTIVATION = "silu"
# of the first Mistral, whose GGUFs have none either; longer than calibration prompts
SHORTEST_WINDOW = 4096
MEND = "convert the reference to that format and give it as --reference or --parent"


def reference_tokens(reference: Checkpoint, conversations: Sequence[Conversation]) -> PromptTokens:
    """Return prompts as tokens in the reference's template, by the reference's tokenizer.

    Raises:
        InputError: the reference carries no chat template, or it fails on a prompt.
        EngineFailure: the tokenizer is not read.
    """
    return _tokens(reference, reference, conversations)


def require_same_reading(
    carrier: Checkpoint, reference: Checkpoint, conversations: Sequence[Conversation], read: PromptTokens
) -> None:
    """Check that a file of the other format reads prompts and ends replies as the reference does.

    Sizes, vocabulary, epsilon and rotary positions are compared by `qaudit.checkpoints.gguf_as_hf`, what
    only a folder says by `require_computes_as_a_gguf`.

    Args:
        carrier: of the format that is wanted.
        reference: of the other; nothing is checked where it is the carrier.
        conversations: prompts to try.
        read: the same by the reference.

    Raises:
        Incomparable: the carrier does otherwise.
        InputError: its tokenizer cannot be read.
        EngineFailure: the same, told by a runtime's library.
    """
    if carrier is reference:
        return
    if isinstance(carrier, HfCheckpoint) and isinstance(reference, GgufCheckpoint):
        lines = tokenizer_differences(reference, carrier)
    elif isinstance(carrier, GgufCheckpoint) and isinstance(reference, HfCheckpoint):
        lines = tokenizer_differences(carrier, reference)
    else:
        raise InputError(f"{carrier.path}: is of the reference's own format; take over from the reference")
    if lines:
        raise _otherwise(carrier, reference, f"GGUF beside folder, {lines[0]}")
    theirs = _tokens(carrier, reference, conversations)
    for conversation, ours, wanted in zip(conversations, theirs.prompts, read.prompts, strict=True):
        if ours != wanted:
            raise _otherwise(carrier, reference, f"other tokens of {conversation.turns[-1][:60]!a}")
    # each library knows some ends by name that the other does not; a word of plain text is none
    if not theirs.ends & read.ends:
        raise _otherwise(carrier, reference, "nothing that ends a reply ends one in it")
    plain = sorted(theirs.ends - read.ends - _special(reference))
    if plain:
        raise _otherwise(carrier, reference, f"token {plain[0]} ends a reply in it")


def require_computes_as_a_gguf(folder: HfCheckpoint) -> None:
    """Check what a config.json says and no GGUF does: that a folder beside one computes as llama.cpp would.

    Raises:
        Incomparable: another activation, or a window of attention shorter than any of these families has.
    """
    config = folder.config
    activation = config.get("hidden_act", ACTIVATION)
    if activation != ACTIVATION:
        raise Incomparable(
            f"{folder.path}: hidden_act is {str(activation)[:40]!a}, llama.cpp computes with {ACTIVATION}; "
            f"{MEND}"
        )
    window = config.get("sliding_window")
    # Qwen has one only where a switch says so, Llama heeds none
    heeded = config.get("model_type") == "mistral" or bool(config.get("use_sliding_window"))
    if heeded and window is not None and not (isinstance(window, int) and window >= SHORTEST_WINDOW):
        raise Incomparable(f"{folder.path}: sliding_window is {str(window)[:40]}, the GGUF has none; {MEND}")


def _tokens(source: Checkpoint, reference: Checkpoint, conversations: Sequence[Conversation]) -> PromptTokens:
    template = reference.chat_template
    if not template:
        raise InputError(f"{reference.path}: carries no chat template; give a chat model")
    engine: EngineName = "llama.cpp" if isinstance(source, GgufCheckpoint) else "transformers"
    return prompt_tokens(source.path, engine, template, reference.special_tokens, conversations)


def _special(checkpoint: Checkpoint) -> set[int]:
    if isinstance(checkpoint, GgufCheckpoint):
        types = checkpoint.metadata.get(TYPES, ())
        return set(np.flatnonzero(np.isin(types, TAKEN_WHOLE)).tolist())
    return set(special_ids(read_object(checkpoint.path / "tokenizer.json", MAX_TOKENIZER_BYTES)))


def _otherwise(carrier: Checkpoint, reference: Checkpoint, what: str) -> Incomparable:
    return Incomparable(f"{carrier.path}: does not read as {reference.path} does ({what}); {MEND}")
