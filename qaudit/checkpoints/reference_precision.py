"""What a reference must be: not itself a lossy quantization."""

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.errors import Incomparable

# Q8_0 has 8.5 bits per weight; anything under 8 is itself a lossy quantization
REFERENCE_BITS = 8.0


def require_precise(reference: Checkpoint) -> None:
    """Check that a reference has enough bits to be one.

    Raises:
        Incomparable: it is a low-bit quantization.
    """
    if reference.bits_per_weight < REFERENCE_BITS:
        raise Incomparable(
            f"{reference.path}: has {reference.bits_per_weight:.1f} bits per weight and is a quantization "
            f"itself; give a reference with {REFERENCE_BITS:.0f} or more (Q8_0, F16, BF16)"
        )
