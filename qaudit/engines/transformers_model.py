"""A loaded transformers model that is fed token by token: masks, positions and caches in one place.

Left padding and a prefix evaluated once change no result: padded places are masked, and every token
has the position that it would have alone.
"""

import copy
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.cache_utils import DynamicCache, DynamicLayer

from qaudit.engines.answers import one_line
from qaudit.engines.protocol import EngineOptions, FloatArray
from qaudit.engines.text_tokens import TextTokens
from qaudit.engines.transformers_loading import LIBRARY_ERRORS, load_network
from qaudit.errors import EngineFailure, OutOfMemory
from qaudit.values import EngineInfo

MAX_VOCABULARY = 4_000_000
# of which the library says in its configuration how far a prompt may reach
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")


class TransformersModel:
    """A model, its tokenizer, and how to evaluate tokens with them.

    Raises:
        EngineFailure: the folder does not load.
    """

    def __init__(self, path: Path, weights: Path | None, options: EngineOptions) -> None:
        torch.set_num_threads(options.threads)
        self.options = options
        self.tokens = TextTokens(path)
        network = load_network(path, weights, options)
        self._model: Any = network.model
        self._path = path
        config = network.model.config.get_text_config()
        self.vocabulary = int(config.vocab_size)
        if not 0 < self.vocabulary <= MAX_VOCABULARY:
            raise EngineFailure(f"{path}: config.json tells a vocabulary of {self.vocabulary} tokens")
        trained = [getattr(config, key, None) for key in CONTEXT_KEYS]
        known = [n for n in trained if isinstance(n, int) and n > 0]
        self.context_limit = min(options.context_per_sequence, *known[:1] or [options.context_per_sequence])
        self._takes = set(inspect.signature(network.model.forward).parameters)
        if "past_key_values" not in self._takes:
            raise EngineFailure(
                f"{path}: {config.model_type} keeps no key-value cache, which the transformers engine needs; "
                "convert it to GGUF and audit that"
            )
        # a recurrent state takes padding in, so there only prompts of one length go together
        self.pads = not getattr(network.model, "_is_stateful", False)
        # where every layer keeps all it has seen, a prefix is shared and gaps are only masked
        layers = DynamicCache(config=config).layers
        plain = bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
        self.shares = self.pads and plain and "position_ids" in self._takes
        dtype = str(network.model.dtype).removeprefix("torch.")
        self.info = EngineInfo(
            name="transformers",
            version=f"transformers {transformers.__version__}, torch {torch.__version__}",
            device=options.device,
            threads=options.threads,
            build=f"{dtype}; weights {network.how}; attention {network.model.config._attn_implementation}",
        )

    def evaluate(
        self,
        tokens: Sequence[Sequence[int]],
        mask: torch.Tensor,
        cache: Any,  # noqa: ANN401 - whichever cache the architecture makes for itself
        *,
        last_only: bool = True,
    ) -> tuple[torch.Tensor, Any]:
        """Evaluate new tokens after those in the cache.

        Args:
            tokens: R rows of N ids each.
            mask: int64 [R, M], 1 where a place counts; M covers the cache and the new tokens.
            cache: from an earlier call, or None to begin.
            last_only: logits of the last place alone.

        Shapes:
            returns logits float32 [R, 1 or N, V] and the cache.

        Raises:
            OutOfMemory: several rows at once do not fit.
            EngineFailure: torch or the model's code fails.
        """
        ids = torch.tensor(tokens, dtype=torch.long, device=self.options.device)
        mask = mask.to(self.options.device)
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        given = {"position_ids": positions, "logits_to_keep": 1 if last_only else 0}
        try:
            with torch.inference_mode():
                out = self._model(
                    input_ids=ids,
                    attention_mask=mask,
                    past_key_values=cache,
                    use_cache=True,
                    **{name: value for name, value in given.items() if name in self._takes},
                )
        except LIBRARY_ERRORS as error:
            said = one_line(str(error), 200)
            if "memory" in said and len(tokens) > 1:
                raise OutOfMemory(
                    f"{self._path}: {len(tokens)} prompts at once do not fit ({said}); lower --parallel"
                ) from error
            raise EngineFailure(f"{self._path}: the model fails ({said})") from error
        logits = out.logits[:, -1:] if last_only else out.logits
        return logits.float(), out.past_key_values

    @staticmethod
    def copies(cache: Any, count: int) -> Any:  # noqa: ANN401
        """Return a cache of `count` rows, each a copy of a cache of one row."""
        copied = copy.deepcopy(cache)
        copied.batch_repeat_interleave(count)
        return copied

    @staticmethod
    def numpy(rows: torch.Tensor) -> FloatArray:
        """Return float32 rows as an array in this process's own memory."""
        array: FloatArray = rows.cpu().numpy()
        return array
