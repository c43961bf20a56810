"""How far apart the failing checkpoint and the new ones keep malicious and benign prompts, layer by layer.

Measured on the files, one block in memory at a time, with probes trained on the reference.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qaudit.checkpoints.opening import open_checkpoint
from realign.float_model import DeviceName, Given
from realign.job import CalibrationTokens
from realign.separation_probes import FEWEST, fit_probes, separation, separation_rows
from realign.stored_blocks import stored_blocks

FAILING = "failing"


def before_and_after(
    given: Given, written: Mapping[str, Path], prompts: CalibrationTokens, seed: int, device: DeviceName
) -> list[dict[str, Any]]:
    """Return the Fisher ratio and probe accuracy of each layer: reference, checkpoint, and what was written.

    Args:
        given: the checkpoints of the realignment.
        written: results by what they are called.
        prompts: that were calibrated on; a fifth of them is held out of the probes.
        seed: of that split.
        device: where blocks run.

    Returns:
        One entry a layer; none with too few prompts to train a probe on.

    Raises:
        InputError: a checkpoint is not readable.
    """
    if min(len(prompts.malicious), len(prompts.benign)) < FEWEST:
        return []
    folder = given.folder
    probes = fit_probes(stored_blocks(given.reference, folder), prompts, seed=seed, device=device)
    checkpoints = {FAILING: given.checkpoint, **{name: open_checkpoint(p) for name, p in written.items()}}
    measured = {
        name: separation(stored_blocks(checkpoint, folder), prompts, probes, seed=seed, device=device)
        for name, checkpoint in checkpoints.items()
    }
    return separation_rows(probes, measured)
