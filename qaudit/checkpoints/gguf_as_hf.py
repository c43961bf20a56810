"""A GGUF under the parameter names and layouts of transformers, decoded a tensor at a time.

So that a quantized GGUF's weights can take the place of a Hugging Face reference's, and one engine can
answer for both; and the check that the two are one model, but for the precision of its weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.gguf_numbers import whole_number
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.model_sizes import ModelSizes, read_sizes
from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.checkpoints.row_ranges import checked_range
from qaudit.checkpoints.same_parameters import require_same_parameters
from qaudit.checkpoints.same_settings import require_same_settings
from qaudit.checkpoints.same_vocabulary import require_same_vocabulary
from qaudit.checkpoints.tensor_names import ARCHITECTURES, FAMILIES, Parameter, parameters
from qaudit.errors import Incomparable, InputError, MalformedFile

MEND = "give the model that it was made from"
CHUNK_BYTES = 64 << 20
# rows by which embeddings may be padded: nothing as large as a file claims is made of nothing
MAX_PADDING = 4096
EMBEDDINGS, OUTPUT = "token_embd", "output"
# computed from config.json by transformers; `same_settings` checks them
POSITIONS = ("rope_freqs", "rope_factors_long", "rope_factors_short")


class GgufAsHf:
    """The parameters of a GGUF as transformers names and shapes them.

    A matrix tied to the embeddings is not among them, as in `named_parameters()`.

    Attributes:
        vocabulary: rows of the embeddings that the GGUF holds; any after them are padding.

    Args:
        gguf: whose weights.
        config: the reference's config.json.

    Raises:
        Incomparable: the GGUF is not of the reference's family or sizes, lacks a tensor or has one more.
        InputError: a family that is not known here.
        MalformedFile: config.json or the GGUF's metadata lack a size.
    """

    def __init__(self, gguf: GgufCheckpoint, config: Mapping[str, Any]) -> None:
        self.path = gguf.path
        self.gguf = gguf
        self.sizes: ModelSizes = read_sizes(config)
        _require_family(gguf, self.sizes)
        _require_sizes(gguf, self.sizes)
        modules = frozenset(gguf.names())
        if EMBEDDINGS not in modules:
            raise Incomparable(f"{gguf.path}: lacks {EMBEDDINGS}; is it a language model?")
        rows = gguf.shape(EMBEDDINGS)[0]
        if abs(rows - self.sizes.vocabulary) > MAX_PADDING:
            raise Incomparable(
                f"{gguf.path}: vocabulary {rows}, the reference has {self.sizes.vocabulary}; {MEND}"
            )
        self.vocabulary = min(rows, self.sizes.vocabulary)
        listed = parameters(self.sizes, modules, rows)
        self._parameters = {parameter.name: parameter for parameter in listed}
        self._require_tensors(modules)
        if self.sizes.tied and OUTPUT in modules:
            self._require_tied()

    def names(self) -> list[str]:
        """Parameter names, such as `model.layers.0.self_attn.q_proj.weight`."""
        return list(self._parameters)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a parameter in transformers.

        Raises:
            InputError: no such parameter.
        """
        return self._find(name).shape

    def stored_type(self, name: str) -> str:
        """Return the ggml type of what a parameter is read from, the first where there are several.

        Raises:
            InputError: no such parameter.
        """
        sources = self._find(name).sources
        return self.gguf.types()[sources[0].module] if sources else "F32"

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray:
        """Decode rows [start, stop) of a parameter.

        A vector is one row; of experts' matrices the rows lie one expert after another. Rows of the
        vocabulary past `self.vocabulary`, the padding that the GGUF has not, are zeros.

        Shapes:
            returns float32 [stop - start, columns].

        Raises:
            InputError: no such parameter, a range outside it or over 2 GiB decoded, or a file that was
                changed since it was opened.
        """
        parameter = self._find(name)
        if len(parameter.shape) == 1:
            start, stop = checked_range(self.path, name, (1, parameter.shape[0]), start, stop)
            return self._outputs(parameter, 0, parameter.shape[0])[None][start:stop]
        columns = parameter.shape[-1]
        start, stop = checked_range(self.path, name, (_outputs_of(parameter), columns), start, stop)
        return self._outputs(parameter, start, stop)

    def tensor(self, name: str) -> FloatArray:
        """Decode a whole parameter, in its full shape.

        Shapes:
            returns float32 `shape(name)`.

        Raises:
            InputError: no such parameter, or a file that was changed since it was opened.
        """
        parameter = self._find(name)
        if len(parameter.shape) == 1:
            return self._outputs(parameter, 0, parameter.shape[0])
        outputs, columns = _outputs_of(parameter), parameter.shape[-1]
        result = np.empty((outputs, columns), np.float32)
        step = max(1, CHUNK_BYTES // (4 * columns))
        for start in range(0, outputs, step):
            stop = min(start + step, outputs)
            result[start:stop] = self._outputs(parameter, start, stop)
        return result.reshape(parameter.shape)

    def _find(self, name: str) -> Parameter:
        try:
            return self._parameters[name]
        except KeyError:
            raise InputError(f"{self.path}: gives no parameter {name[:200]!r}; see names()") from None

    def _outputs(self, parameter: Parameter, start: int, stop: int) -> FloatArray:
        """Return outputs [start, stop): rows of a matrix, entries of a vector."""
        if not parameter.heads:
            values = self._stored(parameter, start, stop)
        else:
            # a head's rows 2i and 2i + 1 are rows i and i + size / 2 in transformers: whole heads are read
            size = _outputs_of(parameter) // parameter.heads
            first, last = start // size * size, -(-stop // size) * size
            order = np.arange(last - first).reshape(-1, size // 2, 2).swapaxes(1, 2).reshape(-1)
            values = self._stored(parameter, first, last)[order[start - first : stop - first]]
        if parameter.offset:
            # weights of a hostile file may be infinite
            with np.errstate(all="ignore"):
                values = values - np.float32(parameter.offset)
        return values

    def _stored(self, parameter: Parameter, start: int, stop: int) -> FloatArray:
        """Return outputs [start, stop) as the GGUF has them, one source after another."""
        vector = len(parameter.shape) == 1
        pieces: list[FloatArray] = []
        at = 0
        for source in parameter.sources:
            first, last = max(start, at), min(stop, at + source.count)
            if first < last:
                first, last = first - at + source.start, last - at + source.start
                if vector:
                    pieces.append(self.gguf.rows(source.module)[0][first:last])
                else:
                    pieces.append(self.gguf.rows(source.module, first, last))
            at += source.count
        missing = stop - max(start, at)
        if missing > 0:
            pieces.append(np.zeros((missing,) if vector else (missing, parameter.shape[-1]), np.float32))
        if len(pieces) == 1:
            return pieces[0]
        if not pieces:
            return np.empty((0,) if vector else (0, parameter.shape[-1]), np.float32)
        return np.concatenate(pieces)

    def _require_tensors(self, modules: frozenset[str]) -> None:
        """Check that every parameter is held, in its shape, and that nothing else is there."""
        used: set[str] = set()
        for parameter in self._parameters.values():
            columns = parameter.shape[-1]
            for source in parameter.sources:
                if source.module not in modules:
                    raise Incomparable(
                        f"{self.path}: lacks {source.module} for {parameter.name}; is it the same model?"
                    )
                used.add(source.module)
                expected = (1, source.total) if len(parameter.shape) == 1 else (source.total, columns)
                if self.gguf.shape(source.module) != expected:
                    raise Incomparable(
                        f"{self.path}: {source.module} is {self.gguf.shape(source.module)}, {parameter.name} "
                        f"of the reference needs {expected}; is it the same model?"
                    )
        spare = {*POSITIONS, *((OUTPUT,) if self.sizes.tied else ())}
        extra = sorted(modules - used - spare)
        if extra:
            more = f" and {len(extra) - 1} more tensors" if len(extra) > 1 else ""
            raise Incomparable(
                f"{self.path}: has {extra[0]}{more}, which the reference has not; is it the same model?"
            )

    def _require_tied(self) -> None:
        """Check that an output matrix of its own is the embedding matrix all the same."""
        shape = self.gguf.shape(EMBEDDINGS)
        step = max(1, CHUNK_BYTES // (4 * shape[1]))
        same = self.gguf.shape(OUTPUT) == shape and all(
            np.array_equal(
                self.gguf.rows(EMBEDDINGS, start, min(start + step, shape[0])),
                self.gguf.rows(OUTPUT, start, min(start + step, shape[0])),
            )
            for start in range(0, shape[0], step)
        )
        if not same:
            raise Incomparable(
                f"{self.path}: its output matrix is not its embedding matrix, config.json ties them; "
                "give the reference as a GGUF too"
            )


def require_same_model(gguf: GgufCheckpoint, reference: HfCheckpoint) -> None:
    """Check that the weights of a GGUF can take the place of a Hugging Face checkpoint's.

    The chat template is not looked at: it is compared apart.

    Raises:
        Incomparable: sizes, tensors, rotary positions, epsilon, ties or the vocabulary differ.
        InputError: a model family that is not known here.
        MalformedFile: config.json, tokenizer.json or the metadata do not hold what they must.
    """
    view = GgufAsHf(gguf, reference.config)
    require_same_settings(gguf, view.sizes)
    shapes = {name: view.shape(name) for name in view.names()}
    require_same_parameters(gguf.path, shapes, reference, view.sizes)
    require_same_vocabulary(gguf, reference, view.sizes)


def _outputs_of(parameter: Parameter) -> int:
    count = 1
    for dimension in parameter.shape[: -1 if len(parameter.shape) > 1 else None]:
        count *= dimension
    return count


def _require_family(gguf: GgufCheckpoint, sizes: ModelSizes) -> None:
    expected = FAMILIES[sizes.model_type].architecture
    if gguf.architecture not in ARCHITECTURES:
        raise InputError(
            f"{gguf.path}: architecture {gguf.architecture[:40]!r} is not known beside a Hugging Face "
            f"checkpoint; known: {', '.join(ARCHITECTURES)}; give both as GGUF"
        )
    if gguf.architecture != expected:
        raise Incomparable(
            f"{gguf.path}: architecture {gguf.architecture!r}, a {sizes.model_type} reference needs "
            f"{expected!r}; {MEND}"
        )


def _require_sizes(gguf: GgufCheckpoint, sizes: ModelSizes) -> None:
    """Check the sizes that decide where values lie; what else must agree is in `same_settings`."""
    heads = whole_number(gguf, "attention.head_count")
    stated = {
        "hidden size": (whole_number(gguf, "embedding_length"), sizes.hidden),
        "layers": (whole_number(gguf, "block_count"), sizes.layers),
        "heads": (heads, sizes.heads),
        "key-value heads": (whole_number(gguf, "attention.head_count_kv", heads), sizes.kv_heads),
    }
    share = max(1, stated["hidden size"][0] // heads)
    stated["head size"] = (whole_number(gguf, "attention.key_length", share), sizes.head_size)
    stated["value size"] = (whole_number(gguf, "attention.value_length", share), sizes.head_size)
    for what, (theirs, ours) in stated.items():
        if theirs != ours:
            raise Incomparable(f"{gguf.path}: {what} {theirs}, the reference has {ours}; {MEND}")
    if FAMILIES[sizes.model_type].rotary_pairs and sizes.head_size % 2:
        raise MalformedFile(gguf.path, f"an odd head size of {sizes.head_size} cannot hold rotary pairs")
