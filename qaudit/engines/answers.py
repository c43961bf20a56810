"""What a worker says, turned into values; nothing of it is believed before it is checked.

The worker may be under a hostile checkpoint's control. A field of another kind, an answer to a
question that was not asked or an array of another size is an EngineFailure, never a stray exception.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar, get_args

from qaudit.engines.frames import Header
from qaudit.engines.protocol import (
    Answer,
    Ask,
    ChoiceAsk,
    ChoiceScore,
    Conversation,
    FloatArray,
    PassageAsk,
    PassageScore,
    Rendered,
)
from qaudit.errors import EngineFailure
from qaudit.values import EngineInfo, Finish, Reply, TokenLogprob

MAX_VOCABULARY = 1 << 24
_Kind = TypeVar("_Kind", bound=object)


def one_line(text: str, limit: int = 500) -> str:
    """Return text as one line that is safe to print: no control characters, no more than `limit`."""
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if c.isprintable())[:limit]


def loaded(header: Header) -> tuple[EngineInfo, int]:
    """Return the engine's description and its number of tokens V.

    Raises:
        EngineFailure: the worker says something else, as with every function here.
    """
    info = _field(header, "info", dict)
    vocabulary = _count(header, "vocabulary", MAX_VOCABULARY)
    name, version, build = (one_line(_field(info, key, str)) for key in ("name", "version", "build"))
    device = one_line(_field(info, "device", str))
    return EngineInfo(name, version, device, _count(info, "threads"), build), vocabulary


def rendered(header: Header, conversations: Sequence[Conversation]) -> list[Rendered]:
    """Return one rendering for each conversation, in their order."""
    items = _field(header, "items", list)
    if len(items) != len(conversations):
        raise _odd("another number of renderings than was asked for")
    return [_rendered_one(item, asked.id) for item, asked in zip(items, conversations, strict=True)]


def _rendered_one(item: object, wanted: str) -> Rendered:
    if not isinstance(item, dict):
        raise _odd("a rendering that is not an object")
    _require_id(item, wanted)
    error = item.get("error")
    return Rendered(
        wanted, _field(item, "text", str), None if error is None else one_line(_field(item, "error", str))
    )


def answer_index(header: Header, asked: int) -> int:
    """Return which of `asked` prompts an answer belongs to."""
    return _count(header, "index", asked - 1)


def answer(header: Header, first_logprobs: FloatArray | None, ask: Ask, vocabulary: int) -> Answer:
    """Return the answer to one prompt.

    Shapes:
        first_logprobs: float32 [V] or None.
    """
    fields = _field(header, "reply", dict)
    _require_id(fields, ask.id)
    if first_logprobs is not None and first_logprobs.shape != (vocabulary,):
        raise _odd("a distribution over another vocabulary than its own")
    top = tuple(_token_logprob(item) for item in _field(fields, "top", list))
    tokens = _count(fields, "tokens", ask.max_tokens)
    reply = Reply(ask.id, _field(fields, "text", str), tokens, _finish(fields), top)
    return Answer(reply, first_logprobs)


def _finish(fields: Header) -> Finish:
    known: tuple[Finish, ...] = get_args(Finish)
    for finish in known:
        if fields.get("finish") == finish:
            return finish
    raise _odd("a reply that ended in no known way")


def _token_logprob(item: object) -> TokenLogprob:
    if not isinstance(item, dict):
        raise _odd("a token that is not an object")
    return TokenLogprob(_count(item, "token"), _field(item, "text", str), _number(item.get("logprob")))


def choice(header: Header, ask: ChoiceAsk) -> ChoiceScore:
    """Return the score of one item's choices."""
    _require_id(header, ask.id)
    logprobs = tuple(_number(value) for value in _field(header, "logprobs", list))
    tokens = tuple(_whole(value) for value in _field(header, "tokens", list))
    if not len(logprobs) == len(tokens) == len(ask.choices):
        raise _odd("another number of choices than was asked for")
    if not all(tokens):
        raise _odd("a choice without a token")
    return ChoiceScore(ask.id, logprobs, tokens)


def passage(
    header: Header,
    token_logprobs: FloatArray | None,
    logprobs: FloatArray | None,
    ask: PassageAsk,
    vocabulary: int,
) -> PassageScore:
    """Return how one passage was read.

    Shapes:
        token_logprobs: float32 [T-1].
        logprobs: float32 [P, V], P no more than was asked for.
    """
    _require_id(header, ask.id)
    if token_logprobs is None or token_logprobs.ndim != 1 or not token_logprobs.size:
        raise _odd("a passage without its tokens")
    most = max(1, ask.positions)
    if logprobs is None or logprobs.ndim != 2 or logprobs.shape[1] != vocabulary or len(logprobs) > most:
        raise _odd("a passage with other distributions than were asked for")
    return PassageScore(ask.id, token_logprobs, logprobs)


def require_all(wanted: Iterable[str], got: int) -> None:
    """Raise EngineFailure, naming the first missing id, when fewer than all were answered."""
    missing = list(wanted)[got:]
    if missing:
        raise EngineFailure(f"the worker left {len(missing)} questions open, the first is {missing[0]}")


def _odd(what: str) -> EngineFailure:
    return EngineFailure(f"the worker sent {what}")


def _field(fields: Header, name: str, kind: type[_Kind]) -> _Kind:
    value = fields.get(name)
    if not isinstance(value, kind):
        raise _odd(f"no proper {name!r}")
    return value


def _require_id(fields: Header, wanted: str) -> None:
    # lone surrogates do not survive the wire
    if _field(fields, "id", str) != wanted.encode(errors="replace").decode():
        raise _odd("an answer to another question")


def _whole(value: object, most: int = 1 << 31) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _odd("a number out of its bounds")
    return value


def _count(fields: Header, name: str, most: int = 1 << 31) -> int:
    return _whole(fields.get(name), most)


def _number(value: object) -> float:
    # a float may be -inf (a token that the model rules out); an integer may be too long for a float
    if isinstance(value, float):
        return value
    return float(_whole(value))
