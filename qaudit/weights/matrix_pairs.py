"""The matrices that a checkpoint and its reference both have, row by row, whatever their formats.

Two checkpoints of one format have the same module names. A GGUF beside a Hugging Face folder is read
under transformers' names and in transformers' order of rows (`qaudit.checkpoints.gguf_as_hf`).
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.gguf_as_hf import GgufAsHf
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.errors import Incomparable, InputError

BLOCK_BYTES = 16 << 20
# no model has weights like this; beyond it float32 overflows where they are compared
LARGEST_WEIGHT = 1e30
# which of the experts a token goes to
ROUTER = "router"
# last piece of a module's name -> what the module does, in transformers' words and in GGUF's
ROLES = {
    "o_proj": "attention_output", "attn_output": "attention_output", "dense": "attention_output",
    "down_proj": "feed_forward_output", "ffn_down": "feed_forward_output", "fc2": "feed_forward_output",
    "q_proj": "query", "attn_q": "query", "k_proj": "key", "attn_k": "key",
    "v_proj": "value", "attn_v": "value",
    "gate_proj": "gate", "ffn_gate": "gate", "up_proj": "up", "ffn_up": "up", "fc1": "up",
    "qkv_proj": "qkv", "attn_qkv": "qkv", "gate_up_proj": "gate_up",
    "input_layernorm": "attention_norm", "attn_norm": "attention_norm",
    "ffn_norm": "feed_forward_norm", "pre_feedforward_layernorm": "feed_forward_norm",
    "post_attention_layernorm": "feed_forward_norm",
    # Mixtral's experts, InternLM's blocks
    "w1": "gate", "w3": "up", "w2": "feed_forward_output", "wqkv": "qkv", "wo": "attention_output",
    "attention_norm": "attention_norm",
    "gate": ROUTER, "ffn_gate_inp": ROUTER,
}  # fmt: skip
# outside of the blocks: a row is a vector of the residual stream
EMBEDDINGS, OUTPUT_MATRIX = "embeddings", "output"
TOKEN_MATRICES = {
    "embed_tokens": EMBEDDINGS, "token_embd": EMBEDDINGS, "wte": EMBEDDINGS, "embed_in": EMBEDDINGS,
    "lm_head": OUTPUT_MATRIX, "output": OUTPUT_MATRIX, "embed_out": OUTPUT_MATRIX,
}  # fmt: skip
# what a block adds to the residual stream: the matrices of it that ablation edits
WRITERS = ("attention_output", "feed_forward_output")
OTHER = "other"
_LAYER = re.compile(r"(?:^|\.)(?:blk|layers|h)\.(\d+)\.")

ReadBoth = Callable[[int, int], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True)
class MatrixPair:
    """One matrix of the checkpoint and the same of the reference.

    Attributes:
        name: of the module, in the checkpoint's words.
        layer: its block, counted from 0; None outside the blocks.
        role: what it does, see `ROLES` and `TOKEN_MATRICES`; "other" where that is not known.
        shape: (outputs, inputs).
        stored: the type that the checkpoint stores it as.
        read: rows [start, stop) of the reference and of the checkpoint, float32.
        column_scale: [I] by which `read` multiplied the checkpoint's columns; None for none.
    """

    name: str
    layer: int | None
    role: str
    shape: tuple[int, int]
    stored: str
    read: ReadBoth
    column_scale: FloatArray | None = None

    def blocks(self) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
        """Yield rows of the reference and of the checkpoint, so many as take 16 MiB.

        Raises:
            InputError: a weight is not finite, or so large that it cannot be one.
        """
        outputs, inputs = self.shape
        step = max(1, BLOCK_BYTES // (4 * inputs))
        for start in range(0, outputs, step):
            stop = min(start + step, outputs)
            reference, candidate = self.read(start, stop)
            for rows, whose in ((reference, "the reference's"), (candidate, "the checkpoint's")):
                if not np.isfinite(rows).all():
                    raise InputError(
                        f"{self.name}: {whose} weights are not all finite; is the download whole?"
                    )
                if rows.size and np.abs(rows).max() > LARGEST_WEIGHT:
                    raise InputError(
                        f"{self.name}: {whose} weights are as large as {np.abs(rows).max():.0e}; "
                        "is the download whole?"
                    )
            yield slice(start, stop), reference, candidate


@dataclass(frozen=True, slots=True)
class Side:
    """One checkpoint under names that both sides share: (outputs, inputs), rows and types by module.

    Attributes:
        vocabulary: rows of the embeddings that it holds, where it is given more for padding.
    """

    shapes: Mapping[str, tuple[int, int]]
    rows: Callable[[str, int, int], FloatArray]
    types: Mapping[str, str]
    vocabulary: int | None = None

    def outside(self, role: str) -> str | None:
        """Return the module outside the blocks that has a role of `TOKEN_MATRICES`; None for none."""
        found = (n for n in self.shapes if not _LAYER.search(n) and role_outside(n) == role)
        return next(found, None)


def pair_matrices(candidate: Checkpoint, reference: Checkpoint) -> list[MatrixPair]:
    """Return every matrix that both have, in the checkpoint's order; vectors too, as one row.

    Raises:
        Incomparable: a shape differs, or they share no matrix of a block.
        InputError: a family of which a GGUF is not known beside a Hugging Face folder.
    """
    return pair_sides(*sides_of(candidate, reference), str(candidate.path))


def pair_sides(ours: Side, theirs: Side, path: str) -> list[MatrixPair]:
    """Return every matrix that both sides have; `path` names the checkpoint in messages.

    An output matrix that only one of them stores is paired with the other's embeddings, which that one uses
    in its place.

    Raises:
        Incomparable: as `pair_matrices`.
    """
    pairs = []
    for name, shape in ours.shapes.items():
        if name not in theirs.shapes:
            continue
        if shape != theirs.shapes[name]:
            raise Incomparable(
                f"{path}: {name[:120]} is {shape}, the reference's is {theirs.shapes[name]}; "
                "give the model that it was made from"
            )
        layer = _LAYER.search(name)
        role = role_of(name) if layer else role_outside(name)
        if role in TOKEN_MATRICES.values():
            # rows that one of them only has as padding are not compared
            held = (shape[0], ours.vocabulary, theirs.vocabulary)
            shape = (min(rows for rows in held if rows is not None), shape[1])
        pairs.append(
            MatrixPair(
                name,
                int(layer.group(1)) if layer else None,
                role,
                shape,
                ours.types[name],
                _reader(ours, name, theirs, name),
            )
        )
    pairs += _tied_output(ours, theirs)
    if not any(pair.layer is not None and pair.shape[0] > 1 for pair in pairs):
        raise Incomparable(f"{path}: shares no matrix with the reference; is it the same model?")
    return pairs


def role_of(name: str) -> str:
    """Return what a module of a block does by the last piece of its name; "other" where that is not known."""
    return ROLES.get(name.rsplit(".", 1)[-1], OTHER)


def role_outside(name: str) -> str:
    """Return what a module outside the blocks does by the last piece of its name; "other" if unknown."""
    return TOKEN_MATRICES.get(name.rsplit(".", 1)[-1], OTHER)


def _reader(ours: Side, our_name: str, theirs: Side, their_name: str) -> ReadBoth:
    return lambda start, stop: (theirs.rows(their_name, start, stop), ours.rows(our_name, start, stop))


def _tied_output(ours: Side, theirs: Side) -> Iterator[MatrixPair]:
    mine, other = ours.outside(OUTPUT_MATRIX), theirs.outside(OUTPUT_MATRIX)
    if (mine is None) == (other is None):
        return
    our_name, their_name = mine or ours.outside(EMBEDDINGS), other or theirs.outside(EMBEDDINGS)
    if our_name is None or their_name is None or ours.shapes[our_name] != theirs.shapes[their_name]:
        return
    held = (ours.shapes[our_name][0], ours.vocabulary, theirs.vocabulary)
    yield MatrixPair(
        mine or their_name,
        None,
        OUTPUT_MATRIX,
        (min(rows for rows in held if rows is not None), ours.shapes[our_name][1]),
        ours.types[our_name],
        _reader(ours, our_name, theirs, their_name),
    )


def sides_of(candidate: Checkpoint, reference: Checkpoint) -> tuple[Side, Side]:
    """Return both checkpoints under names that they share.

    Raises:
        Incomparable: a GGUF and a folder are not one model.
        InputError: a family of which a GGUF is not known beside a Hugging Face folder.
    """
    if isinstance(candidate, GgufCheckpoint) and isinstance(reference, HfCheckpoint):
        return _gguf_as_hf(candidate, reference), _plain(reference)
    if isinstance(candidate, HfCheckpoint) and isinstance(reference, GgufCheckpoint):
        return _plain(candidate), _gguf_as_hf(reference, candidate)
    return _plain(candidate), _plain(reference)


def _plain(checkpoint: Checkpoint) -> Side:
    return Side(
        {name: checkpoint.shape(name) for name in checkpoint.names()}, checkpoint.rows, checkpoint.types()
    )


def _gguf_as_hf(gguf: GgufCheckpoint, folder: HfCheckpoint) -> Side:
    view = GgufAsHf(gguf, folder.config)
    parameter_of = {name.removesuffix(".weight"): name for name in view.names()}
    shapes: dict[str, tuple[int, int]] = {}
    for name, parameter in parameter_of.items():
        *outputs, inputs = view.shape(parameter)
        # experts' matrices lie one after another; a vector is one row
        shapes[name] = (math.prod(outputs), inputs)
    return Side(
        shapes,
        lambda name, start, stop: view.rows(parameter_of[name], start, stop),
        {name: view.stored_type(parameter) for name, parameter in parameter_of.items()},
        view.vocabulary,
    )
