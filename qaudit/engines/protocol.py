"""What every engine offers to the probes: render, generate, choose, read.

Inputs are plain text and limits; outputs are values with exact log-probabilities where the engine
has them. An engine never judges: it may stop a reply early only when the judge that it was given
says that the label is settled.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from qaudit.engines.choices import Device, Dtype, Kernels
from qaudit.values import EngineInfo, Finish, Reply

FloatArray = NDArray[np.float32]
Progress = Callable[[int], None]
EngineName = Literal["llama.cpp", "transformers"]
# what an engine can do besides answering: go on with text after the generation prompt, score given
# continuations, read passages, give the whole distribution at the first position of a reply
Ability = Literal["prefill", "choose", "read", "distributions"]
EVERY_ABILITY: frozenset[Ability] = frozenset(get_args(Ability))


@dataclass(frozen=True, slots=True)
class Conversation:
    """User turns to be rendered with a chat template; `id` is unique within one call."""

    id: str
    turns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt to answer greedily.

    `text` is rendered (template applied); `question` is what the person asked, for the judge that
    decides early stops; `max_tokens` bounds the reply (1 gives a first-token probe); `turns` are the
    user's messages, for a server that applies a template of its own.
    """

    id: str
    text: str
    question: str
    max_tokens: int
    turns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply and the natural-log probabilities of its first position.

    Shapes:
        first_logprobs: float32 [V]; None where the engine has no full distribution, or the prompt
        was not evaluated.
    """

    reply: Reply
    first_logprobs: FloatArray | None


@dataclass(frozen=True, slots=True)
class ChoiceAsk:
    """A rendered prompt and the continuations whose log-probabilities are wanted."""

    id: str
    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChoiceScore:
    """Summed natural-log probability and token count of each continuation.

    Both are empty where the engine could not score the item: too long, or it killed the worker twice.
    """

    id: str
    logprobs: tuple[float, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PassageAsk:
    """A neutral passage; full distributions are wanted at no more than `positions` places."""

    id: str
    text: str
    positions: int


@dataclass(frozen=True, slots=True)
class PassageScore:
    """How a model reads a passage of T tokens.

    Shapes:
        token_logprobs: float32 [T-1], of each token given those before it.
        logprobs: float32 [P, V], full distributions at P evenly spaced positions.
        Both have no entry (T-1 and P are 0) where the engine could not read the passage.
    """

    id: str
    token_logprobs: FloatArray
    logprobs: FloatArray


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to run a local engine.

    `parallel` sequences are decoded at once; `context_per_sequence` is the most tokens that a prompt
    with its reply may have; `judge` names the judge whose settled labels end a reply early.

    `gpu_layers`: layers of a GGUF on the GPU, -1 for all, None for all where a GPU is present.
    `device`, `dtype`: where transformers computes and in which type; "auto" takes CUDA where it is
    present, float32 on a processor, and on CUDA the 16-bit type of the reference. `kernels`: "auto"
    runs quantized weights on their own CUDA kernels where these are installed, "never" decodes them
    first, "always" insists on the kernels.
    """

    threads: int
    parallel: int = 32
    context_per_sequence: int = 4096
    gpu_layers: int | None = None
    judge: str | None = "rules"
    device: Device = "auto"
    dtype: Dtype = "auto"
    kernels: Kernels = "auto"


@dataclass(frozen=True, slots=True)
class ServedOptions:
    """How to ask a server.

    Attributes:
        concurrency: prompts under way at once; the server's own number of slots, and a few more.
        timeout_s: the longest that one try may take, from connecting to the last byte; a prompt waits
            in the server's queue within it.
        retries: further tries after a failure that may pass; 2 at most after one that took its time.
        backoff_s: the first wait between two tries; it doubles, and is shortened at random.
        api_key_env: the environment variable that holds the key; nothing else is looked at,
            and no key is sent where it is empty.
        insecure_http: allow http to other machines, where prompts, replies and key can be read and altered.
        ca_bundle: PEM file with the authorities to trust in place of the system's.
        thinking: leave it to the server's template to open a reasoning block.
    """

    concurrency: int = 16
    timeout_s: float = 300.0
    retries: int = 6
    backoff_s: float = 0.5
    api_key_env: str = "QAUDIT_API_KEY"
    insecure_http: bool = False
    ca_bundle: Path | None = None
    thinking: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as the template writes it; `error` when the template failed on it."""

    id: str
    text: str
    error: str | None = None


class Engine(Protocol):
    """One loaded checkpoint. Methods raise EngineFailure when the engine cannot go on."""

    @property
    def info(self) -> EngineInfo:
        """Name, version, device, threads and build."""
        ...

    @property
    def vocabulary(self) -> int:
        """Number of tokens V; 0 where the engine does not tell."""
        ...

    @property
    def held(self) -> Sequence[str]:
        """Name what confines the process that runs the checkpoint; nothing, for a served one."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What the reader of a report should know of how it answered; complete after the last answer."""
        ...

    @property
    def memory(self) -> Mapping[str, Any]:
        """What an engine that goes on in its place must know, as JSON; nothing where it need know nothing."""
        ...

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from the `memory` that an engine had after its last answer that was stored."""
        ...

    @property
    def abilities(self) -> frozenset[Ability]:
        """What it can do besides answering; a metric that needs more is absent."""
        ...

    def render(self, template: str, conversations: Sequence[Conversation]) -> list[Rendered]:
        """Apply a chat template in a sandbox, with the generation prompt."""
        ...

    def generate(self, asks: Sequence[Ask], progress: Progress | None = None) -> list[Answer]:
        """Answer all asks from a clean state; the order of the answers is that of the asks."""
        ...

    def choose(self, asks: Sequence[ChoiceAsk]) -> list[ChoiceScore]:
        """Score continuations."""
        ...

    def read(self, asks: Sequence[PassageAsk]) -> Iterator[PassageScore]:
        """Read passages, one score at a time (they can be large)."""
        ...

    def close(self) -> None:
        """Free the model; further calls are an error."""
        ...


def crashed(ask_id: str, finish: Finish = "crashed") -> Answer:
    """Return the answer that stands for a prompt which the engine could not evaluate."""
    return Answer(Reply(ask_id, "", 0, finish), None)
