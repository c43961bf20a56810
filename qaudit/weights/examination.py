"""The one door: two checkpoints in, what was done to the weights out."""

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.weights.ablation import WeightEvidence, gather
from qaudit.weights.folding import unfolded
from qaudit.weights.matrix_pairs import pair_matrices
from qaudit.weights.rounding import grid_of


def examine(candidate: Checkpoint, reference: Checkpoint, seed: int = 0) -> WeightEvidence:
    """Compare the weights of a checkpoint with its reference's and say what was done to them.

    Memory is that of a few blocks of rows (16 MiB each), whatever the size of the checkpoints; a matrix
    is read about ten times.

    Raises:
        Incomparable: the two do not have the same matrices.
        InputError: a weight is not finite, or a file was changed meanwhile.
    """
    pairs = unfolded(pair_matrices(candidate, reference), norm_offset_of(candidate))
    return gather(pairs, {pair.name: grid_of(candidate, pair.stored) for pair in pairs}, seed)


def norm_offset_of(candidate: Checkpoint) -> float:
    """Return what a runtime adds to the norms' weights as they are named here."""
    # Gemma's norms multiply by 1 + w; a GGUF has the 1 added, under names of its own
    names = candidate.names()
    return 1.0 if candidate.architecture.startswith("gemma") and "token_embd" not in names else 0.0
