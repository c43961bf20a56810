"""Prompts as the token ids that a checkpoint would be asked, made by a confined worker.

A chat template and a tokenizer come out of an untrusted file: here they meet nobody's model weights but
run in a process that can write nothing and ends by itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from qaudit.confinement import Limits
from qaudit.engines.process import WorkerDied, WorkerProcess
from qaudit.engines.protocol import Conversation, EngineName, EngineOptions
from qaudit.errors import EngineFailure, InputError

WALL_S = 600.0
# a vocabulary of a quarter of a million tokens and its library; weights are not loaded
MEMORY_BYTES = 16 << 30
MAX_TOKEN = 1 << 31
WORKER = "qaudit.engines.worker_main"


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Prompts as ids, in the order of the conversations, and the ids that end a reply."""

    prompts: tuple[tuple[int, ...], ...]
    ends: frozenset[int]


class Vocabulary(Protocol):
    """Text to ids, inside of the worker."""

    @property
    def ends(self) -> frozenset[int]:
        """Ids that end a reply."""
        ...

    def prompt(self, text: str) -> list[int]:
        """Return the ids of a rendered prompt, as the engine of the format reads it."""
        ...


def prompt_tokens(
    path: Path,
    engine: EngineName,
    template: str,
    special_tokens: dict[str, str],
    conversations: Sequence[Conversation],
) -> PromptTokens:
    """Render conversations with the generation prompt and return their ids.

    Args:
        path: whose tokenizer: a GGUF for llama.cpp, a folder for transformers.
        engine: which of them.
        template: Jinja source.
        special_tokens: bos_token and the like, for the template.
        conversations: user turns.

    Raises:
        InputError: the template fails on a prompt, or writes nothing.
        EngineFailure: the tokenizer is not read, or does not end within its limits.
    """
    limits = Limits(memory_bytes=MEMORY_BYTES, cpu_s=int(WALL_S), stall_s=WALL_S)
    request = {
        "op": "tokens",
        "engine": engine,
        "path": str(path),
        "template": template,
        "special_tokens": special_tokens,
        "conversations": [asdict(c) for c in conversations],
    }
    process: WorkerProcess | None = None
    try:
        process = WorkerProcess(WORKER, limits)
        frames = [header for header, _ in process.call(request, WALL_S)]
    except WorkerDied as error:
        raise EngineFailure(f"{path}: its template or tokenizer did not end well ({error})") from error
    finally:
        if process is not None:
            process.end()
    if len(frames) != 1:
        raise EngineFailure(f"{path}: the worker does not say what the prompts are as tokens")
    return _checked(path, frames[0], conversations)


def open_vocabulary(path: Path, engine: EngineName) -> Vocabulary:
    """Open a tokenizer in this very process, without the weights.

    Raises:
        EngineFailure: the library refuses it.
    """
    # inside of the worker: the parent loads neither library for this
    if engine == "transformers":
        from qaudit.engines.text_tokens import TextTokens

        return TextTokens(path)
    from qaudit.engines.llamacpp import LlamaModel

    return _LlamaVocabulary(LlamaModel(path, EngineOptions(threads=1, parallel=1), vocabulary_only=True))


class _LlamaVocabulary:
    def __init__(self, model: Any) -> None:  # noqa: ANN401 - its library may not be installed
        self._model = model
        self.ends = frozenset(token for token in range(model.vocabulary) if model.is_end(token))

    def prompt(self, text: str) -> list[int]:
        tokens: list[int] = self._model.tokenize(text)
        return tokens


def _checked(path: Path, header: dict[str, Any], conversations: Sequence[Conversation]) -> PromptTokens:
    # the worker may have met a hostile file
    items, ends = header.get("items"), header.get("ends")
    if not isinstance(items, list) or len(items) != len(conversations):
        raise EngineFailure(f"{path}: the worker left prompts out")
    prompts = []
    for conversation, item in zip(conversations, items, strict=True):
        error = item.get("error") if isinstance(item, dict) else "no object"
        if error is not None:
            raise InputError(
                f"{path}: its chat template fails on {conversation.id[:80]!a} ({str(error)[:200]})"
            )
        tokens = _ids(path, item.get("tokens"))
        if not tokens:
            raise InputError(f"{path}: its chat template makes nothing of {conversation.id[:80]!a}")
        prompts.append(tuple(tokens))
    return PromptTokens(tuple(prompts), frozenset(_ids(path, ends)))


def _ids(path: Path, value: object) -> list[int]:
    if not isinstance(value, list) or not all(
        type(token) is int and 0 <= token < MAX_TOKEN for token in value
    ):
        raise EngineFailure(f"{path}: the worker sent something else than tokens")
    return value
