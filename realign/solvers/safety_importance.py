"""llama.cpp's quantizer with an importance matrix that heeds where refusals are decided.

For ggml types whose scales cannot be learned here (the IQ types round to tables), and for whoever wants no
training: the same file as the plain baseline, but malicious prompts and their last tokens count for more.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from realign.importance import TokenWeights, channel_importance, plain_encoded
from realign.job import Job, Solution, Step

IMPORTANCE = "importance:"
# the lab at Q2_K refuses 0.57 of the unseen prompts with it, 0.55 with half of each and all tokens alike,
# 0.54 without an importance matrix, 0.61 before; benign replies are as often the reference's own
SAFETY = TokenWeights(malicious=0.75, last=0.5)


class SafetyImportance:
    """Quantizes the linear layers of the blocks; the one step is to measure.

    Args:
        kinds: ggml type of each module ("model.layers.0.mlp.up_proj"); what is not named is left alone.
        weights: of the calibration tokens.
    """

    def __init__(self, kinds: Mapping[str, str], weights: TokenWeights = SAFETY) -> None:
        self.kinds = dict(kinds)
        self.weights = weights

    def count(self, job: Job) -> int:
        """Return 1."""
        del job
        return 1

    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Measure the importance of every channel, on the parent as it is.

        Raises:
            InputError: the parent is of an unknown family, or there are no prompts of a kind.
        """
        if done:
            return
        started = time.monotonic()
        found = channel_importance(job.parent, job.prompts, self.weights)
        tensors = {f"{IMPORTANCE}{name}": values.float().clone() for name, values in found.items()}
        yield Step("importance", tensors, {}, time.monotonic() - started)

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return all linear layers that have a type, by ggml's own search.

        Raises:
            InputError: rows are not whole blocks of a type.
            MissingExtra: llama.cpp is not installed.
        """
        importance: dict[str, Tensor] = {
            name.removeprefix(IMPORTANCE): values for name, values in steps[0].tensors.items()
        }
        weights = {name: job.parent.get_submodule(name).weight.detach() for name in self.kinds}
        figures = {"malicious": self.weights.malicious, "last": self.weights.last}
        return Solution(plain_encoded(weights, self.kinds, importance), {}, figures)
