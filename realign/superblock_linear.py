"""One matrix in ggml's own bytes: what a GGUF holds of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from gguf.constants import GGMLQuantizationType
from torch import Tensor

from qaudit.checkpoints.codecs.ggml import BLOCKS, decode_rows
from qaudit.errors import InputError


@dataclass(frozen=True, slots=True)
class SuperblockLinear:
    """Rows of a ggml type, each of whole blocks.

    Shapes: O outputs, I inputs.

    Attributes:
        ggml_type: ggml's name of the type, such as "Q4_K".
        columns: I.
        rows: uint8 [O, bytes of a row].
    """

    ggml_type: str
    columns: int
    rows: Tensor

    def weight(self) -> Tensor:
        """Return the weights that llama.cpp computes with, by its own decoder: float32 [O, I], exact.

        Raises:
            InputError: the rows are not whole blocks of the type.
        """
        kind = GGMLQuantizationType[self.ggml_type]
        decoded = decode_rows(self.rows.cpu().contiguous().numpy().tobytes(), kind, self.columns)
        return torch.from_numpy(decoded).to(self.rows.device)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits divided by weights."""
        block, size = BLOCKS[GGMLQuantizationType[self.ggml_type]]
        return 8 * size / block

    def tensors(self) -> dict[str, Tensor]:
        """Return all that it is made of."""
        return {
            "rows": self.rows,
            "columns": torch.tensor(self.columns),
            "ggml_type": torch.tensor(int(GGMLQuantizationType[self.ggml_type])),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "SuperblockLinear":
        """Make it of what `tensors` returned.

        Raises:
            InputError: a tensor is missing, or the type is none of ggml's.
        """
        try:
            kind = GGMLQuantizationType(int(tensors["ggml_type"]))
            return cls(kind.name, int(tensors["columns"]), tensors["rows"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise InputError(f"stored rows of a ggml type are not whole ({error}); start again") from error
