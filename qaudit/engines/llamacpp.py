"""llama.cpp through llama-cpp-python's low-level API: load, tokenize, decode one batch.

Runs inside a worker process (`qaudit.engines.worker_main`); nothing here limits or isolates.
Feeding a batch and reading its logits is all that happens here: greedy loops are in
`llama_generation.py`, scoring in `llama_scoring.py`.
"""

import ctypes
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qaudit.engines.answers import one_line
from qaudit.engines.protocol import EngineOptions, FloatArray
from qaudit.errors import EngineFailure, MissingExtra
from qaudit.values import EngineInfo

try:
    import llama_cpp
except ImportError as error:
    raise MissingExtra("llama-cpp-python", "gguf") from error

BATCH_TOKENS = 512
SHARED_SEQUENCE = 0
MAX_PIECE_BYTES = 1 << 16


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore]
def _keep_errors(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    # ggml levels: 2 info, 3 warn, 4 error, 5 continuation
    if level == 4:
        # llama.cpp quotes names out of the file
        _last_error.append(one_line(text.decode(errors="replace"), 200))
        del _last_error[:-3]


_last_error: list[str] = []


class LlamaModel:
    """A GGUF loaded by llama.cpp, with a context for `options.parallel` sequences.

    Sequence 0 holds the prefix that all prompts share; 1..parallel are working sequences.

    Args:
        path: the file.
        options: how to run it.
        vocabulary_only: leave the weights out; nothing but text and tokens can be asked for.

    Raises:
        EngineFailure: llama.cpp refuses the file or there is not enough memory.
    """

    def __init__(self, path: Path, options: EngineOptions, *, vocabulary_only: bool = False) -> None:
        _last_error.clear()
        llama_cpp.llama_log_set(_keep_errors, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.options = options
        self._context: Any = None
        self._memory: Any = None
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = options.gpu_layers or 0
        parameters.use_mmap = True
        parameters.vocab_only = vocabulary_only
        parameters.check_tensors = True
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise EngineFailure(
                f"{path}: llama.cpp does not load it ({'; '.join(_last_error) or 'no reason given'})"
            )
        if llama_cpp.llama_model_has_encoder(self._model) or not llama_cpp.llama_model_has_decoder(
            self._model
        ):
            llama_cpp.llama_model_free(self._model)
            raise EngineFailure(f"{path}: not a decoder-only language model; qaudit audits chat models")
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.vocabulary = int(llama_cpp.llama_vocab_n_tokens(self._vocab))
        self._path = path
        self.context_per_sequence = 0
        self._batch = llama_cpp.llama_batch_init(BATCH_TOKENS, 0, 1)
        self._tokens = np.ctypeslib.as_array(self._batch.token, (BATCH_TOKENS,))
        self._positions = np.ctypeslib.as_array(self._batch.pos, (BATCH_TOKENS,))
        self._wanted = np.ctypeslib.as_array(self._batch.logits, (BATCH_TOKENS,))
        np.ctypeslib.as_array(self._batch.n_seq_id, (BATCH_TOKENS,))[:] = 1
        self._filled = 0
        self._ends = self._end_tokens()
        self._pieces: dict[int, bytes] = {}

    @property
    def context_limit(self) -> int:
        """The most tokens of one sequence: what was asked for, or what the model was trained on if less."""
        trained = int(llama_cpp.llama_model_n_ctx_train(self._model))
        return (
            min(self.options.context_per_sequence, trained)
            if trained > 0
            else self.options.context_per_sequence
        )

    def reserve(self, tokens: int) -> None:
        """Make sure that every sequence has room for `tokens`; memory is taken only as it is needed.

        Raises:
            EngineFailure: there is not enough memory.
        """
        if tokens <= self.context_per_sequence:
            return
        self._free_context()
        sequences = self.options.parallel + 1
        # llama.cpp rounds the cells of a sequence up to a multiple of 256 itself
        size = min(-(-tokens // 256) * 256, self.context_limit)
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_seq_max = sequences
        parameters.n_ctx = size * sequences
        parameters.n_batch = BATCH_TOKENS
        parameters.n_ubatch = BATCH_TOKENS
        parameters.n_threads = self.options.threads
        parameters.n_threads_batch = self.options.threads
        parameters.kv_unified = False
        if not self.options.gpu_layers:
            # on the processor, llama.cpp's flash attention sums in float16 in small batches but not in
            # large ones: log-probabilities then move by up to 0.1 with a prompt's company in a batch
            parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not self._context:
            raise EngineFailure(
                f"{self._path}: no memory for {sequences} sequences of {size} tokens "
                f"({'; '.join(_last_error) or 'no reason given'}); lower --parallel"
            )
        self.context_per_sequence = size
        self._memory = llama_cpp.llama_get_memory(self._context)

    def _end_tokens(self) -> frozenset[int]:
        return frozenset(t for t in range(self.vocabulary) if llama_cpp.llama_vocab_is_eog(self._vocab, t))

    @property
    def info(self) -> EngineInfo:
        """What ran, in enough detail to repeat it."""
        on_gpu = bool(self.options.gpu_layers) and bool(llama_cpp.llama_supports_gpu_offload())
        system = " ".join(llama_cpp.llama_print_system_info().decode().split())
        return EngineInfo(
            name="llama.cpp",
            version=f"llama-cpp-python {importlib.metadata.version('llama-cpp-python')}",
            device="gpu" if on_gpu else "cpu",
            threads=self.options.threads,
            build=system,
        )

    def tokenize(self, text: str) -> list[int]:
        """Return token ids, special tokens parsed; BOS is added unless the text already opens with it."""
        raw = text.encode()
        bos = int(llama_cpp.llama_vocab_bos(self._vocab))
        opens = bos >= 0 and bool(piece := self.piece(bos)) and raw.startswith(piece)
        room = len(raw) + 8
        buffer = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocab, raw, len(raw), buffer, room, not opens, True)
        if count < 0:
            raise EngineFailure("llama.cpp cannot tokenize a prompt; is the tokenizer in the file damaged?")
        return list(buffer[:count])

    def tokenize_continuation(self, text: str) -> list[int]:
        """Return the ids of text that goes on from a prompt: no BOS, no special tokens."""
        raw = text.encode()
        room = len(raw) + 8
        buffer = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocab, raw, len(raw), buffer, room, False, False)
        if count < 0:
            raise EngineFailure(
                "llama.cpp cannot tokenize a continuation; is the tokenizer in the file damaged?"
            )
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for, special tokens included."""
        if token not in self._pieces:
            room = 256
            buffer = ctypes.create_string_buffer(room)
            count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, room, 0, True)
            if count < -room:
                room = min(-count, MAX_PIECE_BYTES)
                buffer = ctypes.create_string_buffer(room)
                count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, room, 0, True)
            self._pieces[token] = buffer.raw[: max(0, min(count, room))]
        return self._pieces[token]

    def is_end(self, token: int) -> bool:
        """Tell whether a token ends a reply."""
        return token in self._ends

    def clear(self) -> None:
        """Forget every sequence, so that what follows does not depend on what was before."""
        self._filled = 0
        if self._context:
            llama_cpp.llama_memory_clear(self._memory, True)

    def copy(self, source: int, target: int) -> None:
        """Give `target` all that `source` has been fed (whole sequences only)."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def forget(self, sequence: int) -> None:
        """Drop one sequence."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    @property
    def room(self) -> int:
        """Tokens that still fit in the batch being filled."""
        return BATCH_TOKENS - self._filled

    def add(self, tokens: Sequence[int], position: int, sequence: int, *, logits: str) -> None:
        """Add tokens of one sequence to the batch.

        Args:
            tokens: ids, at positions position, position+1, ...
            position: of the first token.
            sequence: which sequence they go to.
            logits: "none", "last" or "all".
        """
        start, end = self._filled, self._filled + len(tokens)
        self._tokens[start:end] = tokens
        self._positions[start:end] = np.arange(position, position + len(tokens))
        self._wanted[start:end] = logits == "all"
        if logits == "last":
            self._wanted[end - 1] = 1
        for index in range(start, end):
            self._batch.seq_id[index][0] = sequence
        self._filled = end

    def decode(self) -> FloatArray:
        """Evaluate the batch; return a view of the logits asked for.

        Shapes:
            [outputs, V] float32, in the order in which they were added; valid until the next call.

        Raises:
            EngineFailure: llama.cpp reports an error.
        """
        outputs = int(np.count_nonzero(self._wanted[: self._filled]))
        self._batch.n_tokens = self._filled
        self._filled = 0
        status = llama_cpp.llama_decode(self._context, self._batch)
        if status != 0:
            raise EngineFailure(
                f"llama_decode failed with {status} ({'; '.join(_last_error) or 'no reason given'})"
            )
        if not outputs:
            return np.empty((0, self.vocabulary), np.float32)
        address = ctypes.cast(llama_cpp.llama_get_logits(self._context), ctypes.c_void_p).value
        if not address:
            raise EngineFailure("llama.cpp returned no logits")
        flat = (ctypes.c_float * (outputs * self.vocabulary)).from_address(address)
        return np.ctypeslib.as_array(flat).reshape(outputs, self.vocabulary)

    def close(self) -> None:
        """Free the context and the model; may be called again."""
        self._free_context()
        if self._model:
            llama_cpp.llama_batch_free(self._batch)
            llama_cpp.llama_model_free(self._model)
            self._model = None

    def _free_context(self) -> None:
        # a size of nothing: after a reserve that failed, the next one must try again
        if self._context:
            llama_cpp.llama_free(self._context)
        self._context, self._memory, self.context_per_sequence = None, None, 0
