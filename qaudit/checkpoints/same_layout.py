"""Are two checkpoints of one format one model, as far as their headers and tokenizers tell?"""

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.errors import Incomparable

# modules of the layers, in the words of both formats: these no quantizer leaves out
LAYERS = ("blk.", "model.layers.", "transformer.h.", "gpt_neox.layers.")
MEND = "give the model that it was made from"


def require_same_layout(candidate: Checkpoint, reference: Checkpoint) -> None:
    """Check architecture, tokenizer and the shapes of matrices.

    Args:
        candidate: to check.
        reference: of the same format.

    Raises:
        Incomparable: one of them differs, or a module of a layer is missing.
        InputError: a tokenizer or a header cannot be read.
    """
    if reference.architecture != candidate.architecture:
        raise Incomparable(
            f"{candidate.path}: architecture {candidate.architecture!r}, the reference has "
            f"{reference.architecture!r}; {MEND}"
        )
    if reference.tokenizer_digest != candidate.tokenizer_digest:
        raise Incomparable(f"{candidate.path}: its tokenizer is not that of {reference.path}; {MEND}")
    _require_same_shapes(reference, candidate)


def _require_same_shapes(reference: Checkpoint, candidate: Checkpoint) -> None:
    # a quantizer may store tied or derived tensors once more or less, so only shared names count
    for name in sorted(set(reference.names()) & set(candidate.names())):
        if reference.shape(name) != candidate.shape(name):
            raise Incomparable(
                f"{candidate.path}: {name} is {candidate.shape(name)}, the reference's is "
                f"{reference.shape(name)}; {MEND}"
            )
    lost = sorted(name for name in set(reference.names()) - set(candidate.names()) if name.startswith(LAYERS))
    if lost:
        raise Incomparable(
            f"{candidate.path}: lacks {lost[0]} and {len(lost) - 1} more; is it the same model?"
        )
