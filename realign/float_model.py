"""Any checkpoint as a float32 transformers model, and prompts as its tokens.

A folder is loaded as it is or decoded; a GGUF is decoded under the configuration and tokenizer of a
folder of the same model if one is at hand, else under its own metadata. No code of a folder is run and
no pickle is opened (`qaudit.engines.transformers_loading`); templates and tokenizers run in a confined
worker (`qaudit.engines.prompt_tokens`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.gguf_as_hf import GgufAsHf, require_same_model
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.same_layout import require_same_layout
from qaudit.engines.choices import Device
from qaudit.engines.protocol import Conversation, EngineOptions
from qaudit.engines.transformers_loading import load_gguf_network, load_network
from qaudit.errors import EnvironmentProblem, Incomparable
from realign.carrier import reference_tokens, require_computes_as_a_gguf, require_same_reading
from realign.gguf_config import config_of
from realign.job import CalibrationTokens
from realign.same_configuration import require_same_configuration

DeviceName = Literal["cpu", "cuda"]
MEND = "give the model that it was made from"


@dataclass(frozen=True, slots=True)
class Given:
    """The checkpoints of one realignment, opened and found to be one model.

    Attributes:
        checkpoint: the one that fails.
        reference: the aligned model that it was made from.
        parent: float weights that the result is to be made of, where somebody has them.
    """

    checkpoint: Checkpoint
    reference: Checkpoint
    parent: Checkpoint | None = None

    @property
    def folder(self) -> HfCheckpoint | None:
        """The folder whose configuration and tokenizer stand for all; the reference's if it is one."""
        return next((c for c in self._by_trust() if isinstance(c, HfCheckpoint)), None)

    @property
    def gguf(self) -> GgufCheckpoint | None:
        """The GGUF whose metadata stand for all; the reference's if it is one."""
        return next((c for c in self._by_trust() if isinstance(c, GgufCheckpoint)), None)

    def _by_trust(self) -> Sequence[Checkpoint]:
        return [c for c in (self.reference, self.parent, self.checkpoint) if c is not None]


def settled_device(device: Device) -> DeviceName:
    """Return where to compute: CUDA where it is present, unless somebody says otherwise.

    Raises:
        EnvironmentProblem: CUDA is asked for and not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem("--device cuda: torch finds no CUDA device here; leave it out or give cpu")
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def require_one_model(given: Given) -> None:
    """Check that all are one model but for their weights.

    Raises:
        Incomparable: a tokenizer, a size, or what decides the computation besides weights differs.
        InputError: a family that is not known here, or a configuration that transformers refuses.
    """
    reference = given.reference
    for other in (given.checkpoint, given.parent):
        if other is None:
            continue
        if isinstance(other, GgufCheckpoint) and isinstance(reference, HfCheckpoint):
            require_same_model(other, reference)
        elif isinstance(other, HfCheckpoint) and isinstance(reference, GgufCheckpoint):
            require_same_model(reference, other)
            require_computes_as_a_gguf(other)
        else:
            require_same_layout(other, reference)
            if isinstance(other, GgufCheckpoint) and isinstance(reference, GgufCheckpoint):
                _require_same_gguf(other, reference)
            elif isinstance(other, HfCheckpoint) and isinstance(reference, HfCheckpoint):
                require_same_configuration(other, reference)


def load_floats(given: Given, which: Checkpoint, device: DeviceName) -> Any:  # noqa: ANN401
    """Load one of the checkpoints as a float32 model of its own, ready to run.

    Raises:
        EngineFailure: transformers does not load it, or weights are missing.
        InputError: the checkpoint is malformed, or a GGUF that no configuration is at hand for.
    """
    options = EngineOptions(
        threads=torch.get_num_threads(), device=device, dtype="float32", kernels="never", judge=None
    )
    if not isinstance(which, GgufCheckpoint):
        return load_network(which.path, None, options).model
    folder = given.folder
    if folder is not None:
        return load_network(folder.path, which.path, options).model
    return load_gguf_network(which, config_of(which), options).model


def require_same_shapes(model: Any, reference: Any) -> None:  # noqa: ANN401
    """Check that two models have the same parameters.

    Raises:
        Incomparable: one has a parameter that the other has not, or in another shape.
    """
    ours, theirs = ({n: tuple(p.shape) for n, p in m.named_parameters()} for m in (model, reference))
    odd = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    if odd:
        raise Incomparable(
            f"{odd[0]} is {ours.get(odd[0], 'missing')} in the checkpoint and "
            f"{theirs.get(odd[0], 'missing')} in the reference; {MEND}"
        )


def as_tokens(
    given: Given,
    malicious: Sequence[Conversation],
    benign: Sequence[Conversation],
    carrier: Checkpoint | None = None,
) -> tuple[CalibrationTokens, frozenset[int]]:
    """Return prompts as the reference's tokens in its template, and the ids that end a reply.

    Args:
        given: the checkpoints.
        malicious: prompts.
        benign: prompts.
        carrier: the file whose tokenizer the result takes over: it must read them alike.

    Raises:
        Incomparable: it does not.
        InputError: the reference carries no chat template, or it fails on a prompt.
        EngineFailure: a tokenizer is not read.
    """
    # ids must be unique within one call, and both kinds may have the same
    numbered = [Conversation(str(i), c.turns) for i, c in enumerate((*malicious, *benign))]
    found = reference_tokens(given.reference, numbered)
    if carrier is not None:
        require_same_reading(carrier, given.reference, numbered, found)
    split = len(malicious)
    return CalibrationTokens(found.prompts[:split], found.prompts[split:]), found.ends


def _require_same_gguf(other: GgufCheckpoint, reference: GgufCheckpoint) -> None:
    ours, theirs = config_of(other), config_of(reference)
    odd = next((key for key in theirs if ours.get(key) != theirs[key]), None)
    if odd:
        raise Incomparable(f"{other.path}: {odd} is {ours.get(odd)}, the reference has {theirs[odd]}; {MEND}")
    # every tensor under the reference's configuration
    GgufAsHf(other, theirs)
