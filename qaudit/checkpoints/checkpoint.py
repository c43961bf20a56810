"""What every format gives: the read-only view of a checkpoint that the rest of qaudit works on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from qaudit.checkpoints.digests import combined_digest, digest_files
from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.values import CheckpointInfo


class Checkpoint(Protocol):
    """A checkpoint whose headers were read; see `GgufCheckpoint` and `HfCheckpoint`."""

    @property
    def format(self) -> str:
        """Say "gguf" or "safetensors"."""
        ...

    @property
    def path(self) -> Path:
        """What was opened: a file, or a folder."""
        ...

    @property
    def info(self) -> CheckpointInfo:
        """Identity of the checkpoint; hashes every file when first asked."""
        ...

    @property
    def architecture(self) -> str:
        """The model family, in the format's own words."""
        ...

    @property
    def quantization(self) -> str:
        """What its weights are stored as, for people."""
        ...

    @property
    def parameters(self) -> int:
        """Number of weights."""
        ...

    @property
    def bits_per_weight(self) -> float:
        """Stored bits divided by weights."""
        ...

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the chat template, unrendered."""
        ...

    @property
    def special_tokens(self) -> dict[str, str]:
        """bos_token, eos_token, unk_token and pad_token as text, where they are declared."""
        ...

    @property
    def tokenizer_digest(self) -> str:
        """SHA-256 over what decides how text becomes tokens; comparable within one format."""
        ...

    def text(self, key: str) -> str | None:
        """Return a value of the checkpoint's metadata if it is a string."""
        ...

    def require_unchanged(self) -> None:
        """Raise InputError if a file on disk is not the one that was opened."""
        ...

    def names(self) -> Sequence[str]:
        """Module names in file order."""
        ...

    def shape(self, name: str) -> tuple[int, int]:
        """Return (rows, columns) of a module's weight; a vector is one row."""
        ...

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray:
        """Decode rows [start, stop) of a module's weight: float32 [stop - start, columns]."""
        ...

    def types(self) -> dict[str, str]:
        """Return the stored type of each module's weight."""
        ...


def identity(
    checkpoint: Checkpoint, files: Sequence[Path], root: Path, origin: str | None = None
) -> CheckpointInfo:
    """Return what a checkpoint is and which bytes it is made of; hashes every file.

    Args:
        checkpoint: whose identity.
        files: what it is made of.
        root: the folder that the files' names are told from.
        origin: where it was fetched from, told in place of the local path.

    Raises:
        InputError: a file cannot be read, or is not the one that was opened any more.
    """
    digests = digest_files(files, root)
    checkpoint.require_unchanged()
    return CheckpointInfo(
        path=origin or str(checkpoint.path),
        format=checkpoint.format,
        quantization=checkpoint.quantization,
        architecture=checkpoint.architecture,
        parameters=checkpoint.parameters,
        sha256=combined_digest(digests),
        files=digests,
        bits_per_weight=round(checkpoint.bits_per_weight, 4),
    )
