"""A checkpoint's decoder blocks, decoded from its files each time one is lent.

So that a model is measured (`activation_stream`, `separation_probes`) that does not fit into memory:
only its embeddings and one block are ever held, as float32. Any format that `qaudit.checkpoints` decodes.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.gguf_as_hf import GgufAsHf
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.engines.transformers_loading import empty_network
from qaudit.errors import InputError
from realign.decoder_blocks import blocks_of
from realign.gguf_config import config_of

EMBEDDINGS = "model.embed_tokens.weight"
Read = Callable[[str], Tensor]


@dataclass(frozen=True, slots=True)
class StoredBlocks:
    """Blocks that lie in files.

    Attributes:
        model: with embeddings and positions; its blocks have no weights.
        read: a parameter by its name in transformers, float32.
    """

    model: Any
    read: Read

    @contextmanager
    def lent(self, number: int, device: torch.device) -> Iterator[nn.Module]:
        """Lend a block with the weights that are stored.

        Raises:
            InputError: the checkpoint lacks one of them, or has it in another shape.
        """
        block = copy.deepcopy(blocks_of(self.model)[number]).to_empty(device=device)
        with torch.no_grad():
            for name, parameter in block.named_parameters():
                stored = self.read(f"model.layers.{number}.{name}")
                parameter.copy_(_in_shape(f"model.layers.{number}.{name}", stored, parameter.shape))
        yield block


def stored_blocks(checkpoint: Checkpoint, folder: HfCheckpoint | None = None) -> StoredBlocks:
    """Return the blocks of a checkpoint that was opened.

    Args:
        checkpoint: whose.
        folder: for a GGUF, the folder whose configuration it goes by; its own metadata if left out.

    Raises:
        InputError: a model of a family that is not known here, or a GGUF that does not fit the folder.
        EngineFailure: transformers does not know the architecture.
    """
    if isinstance(checkpoint, GgufCheckpoint):
        fields: Mapping[str, Any] = folder.config if folder is not None else config_of(checkpoint)
        architecture = str(fields.get("model_type"))
        view = GgufAsHf(checkpoint, fields)
        read: Read = lambda name: torch.from_numpy(view.tensor(name)).float()  # noqa: E731
    elif isinstance(checkpoint, HfCheckpoint):
        fields, architecture = checkpoint.config, checkpoint.architecture
        read = _folder_reader(checkpoint)
    else:
        raise InputError(f"{checkpoint.path}: {checkpoint.format} is not streamed; give a GGUF or a folder")
    model: Any = empty_network(checkpoint.path, architecture, fields)
    blocks = blocks_of(model)
    if any(True for block in blocks for _ in block.buffers()):
        raise InputError(f"{checkpoint.path}: its blocks hold more than weights; load it whole")
    embeddings = _in_shape(EMBEDDINGS, read(EMBEDDINGS), model.get_input_embeddings().weight.shape)
    model.get_input_embeddings().weight = nn.Parameter(embeddings, requires_grad=False)
    # computed from the configuration, not stored
    model.model.rotary_emb = type(model.model.rotary_emb)(config=model.config)
    return StoredBlocks(model, read)


def _folder_reader(checkpoint: HfCheckpoint) -> Read:
    modules = frozenset(checkpoint.names())

    def read(name: str) -> Tensor:
        module = name if name in modules else name.removesuffix(".weight")
        if module not in modules:
            raise InputError(f"{checkpoint.path}: lacks {name}; download the checkpoint again")
        return torch.from_numpy(checkpoint.rows(module))

    return read


def _in_shape(name: str, stored: Tensor, shape: torch.Size) -> Tensor:
    # a checkpoint tells of a vector as one row
    if stored.numel() != shape.numel() or (stored.ndim == len(shape) and stored.shape != shape):
        raise InputError(
            f"{name} is {list(stored.shape)}, config.json says {list(shape)}; download the checkpoint again"
        )
    return stored.reshape(shape)
