"""What of two checkpoints could not be laid side by side: nobody knows whether it is the reference's."""

import re
from collections.abc import Sequence

import numpy as np

from qaudit.errors import InputError, MalformedFile
from qaudit.weight_values import Uncompared
from qaudit.weights.matrix_pairs import MatrixPair, Side

# runtimes make them from the configuration; a converter writes them or does not
_BUFFERS = re.compile(
    r"(?:.*\.)?(?:inv_freq|rope_freqs|rope_factors_(?:long|short)|position_ids|masked_bias|attn_rot_embd)"
)


def unpaired(ours: Side, theirs: Side, pairs: Sequence[MatrixPair]) -> list[Uncompared]:
    """Return what only one side has, but for buffers and vectors of zeros, which change nothing.

    Raises:
        InputError: a vector cannot be read.
    """
    paired = {pair.name for pair in pairs}
    found = [
        Uncompared(name, "the reference has no such tensor; qaudit inspect --reference says more")
        for name in ours.shapes
        if name not in paired and not _BUFFERS.fullmatch(name) and not _is_zero(ours, name)
    ]
    found += [
        Uncompared(name, "only the reference has it; qaudit inspect --reference says more")
        for name in theirs.shapes
        if name not in paired and name not in ours.shapes and not _BUFFERS.fullmatch(name)
    ]
    return found


def readable(pairs: Sequence[MatrixPair]) -> tuple[list[MatrixPair], list[Uncompared]]:
    """Return the pairs that can be decoded on both sides, and the others with the reason.

    Raises:
        MalformedFile: a tensor is not what its file says.
    """
    good, left = [], []
    for pair in pairs:
        try:
            pair.read(0, min(1, pair.shape[0]))
        except MalformedFile:
            raise
        except InputError as error:
            left.append(Uncompared(pair.name, str(error)))
        else:
            good.append(pair)
    return good, left


def _is_zero(side: Side, name: str) -> bool:
    # GPTQ's tools write a bias of zeros for every module
    return side.shapes[name][0] == 1 and not np.any(side.rows(name, 0, 1))
