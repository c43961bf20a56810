from collections.abc import Callable
from pathlib import Path

import pytest

from qaudit.checkpoints.opening import open_checkpoint
from qaudit.checkpoints.reference_precision import require_precise
from qaudit.errors import Incomparable

Member = Callable[[str], Path]


def test_eight_bits_are_enough_and_six_are_not(f16: Path, q8: Path, member: Member) -> None:
    require_precise(open_checkpoint(f16))
    require_precise(open_checkpoint(q8))
    with pytest.raises(Incomparable, match=r"has 6\.\d bits per weight and is a quantization itself"):
        require_precise(open_checkpoint(member("Q6_K")))
