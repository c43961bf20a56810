"""k-quants as llama.cpp makes them with an importance matrix: the baseline of every GGUF realignment.

Importance is the mean squared input of each channel of the float model, as `llama-imatrix` measures it;
malicious and benign prompts count alike. Scales are searched for by ggml's own quantizer.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from realign.decoder_blocks import STAGES, blocks_of, module_name
from realign.grids.superblock_grid import SuperblockGrid
from realign.importance import channel_importance, plain_encoded
from realign.job import Job, Solution, Step
from realign.superblock_linear import SuperblockLinear

ENCODED = "encoded:"


class PlainGgufSolver:
    """Quantizes the linear layers of the blocks without regard to safety; a step is a block.

    Args:
        kinds: ggml type of each module ("model.layers.0.mlp.up_proj"), where the job's grids do not say
            another; what is not named is left alone.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self.kinds = dict(kinds)

    def count(self, job: Job) -> int:
        """Return the number of blocks."""
        return len(blocks_of(job.parent))

    @torch.no_grad()
    def steps(self, job: Job, done: Sequence[Step]) -> Iterator[Step]:
        """Quantize the blocks that are not done yet; the parent is left as it is.

        Raises:
            InputError: the parent is of an unknown family, or rows are not whole blocks of a type.
            MissingExtra: llama.cpp is not installed.
        """
        if len(done) == self.count(job):
            return
        importance = channel_importance(job.parent, job.prompts)
        asked = {m: grid.ggml_type for m, grid in job.grids.items() if isinstance(grid, SuperblockGrid)}
        kinds = {**self.kinds, **asked}
        for number in range(len(done), self.count(job)):
            started = time.monotonic()
            modules = [module_name(number, name) for stage in STAGES for name in stage.linears]
            weights = {module: job.parent.get_submodule(module).weight for module in modules}
            found = plain_encoded(weights, kinds, importance)
            lost = {
                f"relative error {module.removeprefix(module_name(number, ''))}.after": _relative_error(
                    entry.weight(), weights[module].cpu(), importance[module].cpu()
                )
                for module, entry in found.items()
            }
            tensors = {
                f"{ENCODED}{module}:{part}": tensor
                for module, entry in found.items()
                for part, tensor in entry.tensors().items()
            }
            yield Step(f"layer {number}", tensors, lost, time.monotonic() - started)

    def solution(self, job: Job, steps: Sequence[Step]) -> Solution:
        """Return all linear layers that have a type."""
        del job
        modules: dict[str, dict[str, Tensor]] = {}
        for step in steps:
            for name, tensor in step.tensors.items():
                module, part = name.removeprefix(ENCODED).rsplit(":", 1)
                modules.setdefault(module, {})[part] = tensor
        return Solution({m: SuperblockLinear.from_tensors(parts) for m, parts in modules.items()}, {})


def _relative_error(got: Tensor, meant: Tensor, importance: Tensor) -> float:
    """Return the weighted squared error over the weighted square: what the quantizer minimises."""
    size = float((meant.double().square() * importance).sum())
    off = float(((got.double() - meant.double()).square() * importance).sum())
    return off / size if size else off
