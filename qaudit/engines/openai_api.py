"""A model that somebody serves: any OpenAI-compatible endpoint, asked greedily, many prompts at once.

Prompts go in as the user's turns and come back as replies; the server applies its own template. It
gives neither scores of given text nor whole distributions, so the measures that need them are absent.
Two runs need not agree to the last token: a server batches our prompts with one another as they come.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any, NoReturn, TypeVar

import anyio
import httpx2
from anyio.from_thread import start_blocking_portal

from qaudit.checkpoints.served import ServedModel
from qaudit.engines.openai_dialect import TEMPLATE, Dialect
from qaudit.engines.openai_notes import Memory, Seen, understood, written
from qaudit.engines.openai_replies import (
    BadReply,
    ServerReply,
    is_too_long,
    model_ids,
    parsed,
    server_reply,
)
from qaudit.engines.openai_retries import GaveUp, Patience, Refused
from qaudit.engines.openai_transport import Response, Transport, Unreachable
from qaudit.engines.protocol import (
    Ability,
    Answer,
    Ask,
    ChoiceAsk,
    ChoiceScore,
    Conversation,
    PassageAsk,
    PassageScore,
    Progress,
    Rendered,
    ServedOptions,
    crashed,
)
from qaudit.errors import EngineFailure, InputError
from qaudit.values import EngineInfo, Reply

COMPLETIONS = "/chat/completions"
MODELS = "/models"
MODELS_BYTES = 4 << 20
REPLY_BYTES = 1 << 20
# 20 likeliest tokens of one position, with their bytes written as lists of numbers
POSITION_BYTES = 8 << 10
HELLO_S = 30.0
# a server that fails so many prompts in a row will not answer the rest either
HOPELESS_FAILURES = 16
SHOWN_MODELS = 10
Value = TypeVar("Value")


class ServedEngine:
    """An Engine (see `protocol.Engine`) at the other end of a URL; for one thread at a time.

    Args:
        model: where it is served.
        options: concurrency, time limits, key.

    Raises:
        InputError: the address, key or CA bundle cannot be used, or the model must be named.
        EngineFailure: nobody answers there, or not to us.
    """

    info: EngineInfo
    vocabulary = 0
    abilities: frozenset[Ability] = frozenset()
    held: tuple[str, ...] = ()

    def __init__(self, model: ServedModel, options: ServedOptions | None = None) -> None:
        self._options = options or ServedOptions()
        if self._options.concurrency < 1:
            raise InputError(f"{model.spec}: concurrency must be 1 or more")
        self._url = model.url
        self._transport = Transport(model, self._options)
        self._patience = Patience(self._transport, self._options)
        self._dialect = Dialect(dropped=frozenset({TEMPLATE} if self._options.thinking else ()))
        # what a server has taken once it takes: a later refusal is about the prompt
        self._proven: Dialect | None = None
        self._seen = Seen()
        self._failures = 0
        self._closed = False
        self._model_id = self._introduce(model)

    def _introduce(self, model: ServedModel) -> str:
        """Set `info` from what the server lists; return the model to ask.

        Raises:
            InputError: no model was named and the server lists none or several.
            EngineFailure: nobody answers, or the key is not accepted.
        """
        response = _in_a_loop(self._get_models)
        if response.status in (401, 403) or 300 <= response.status < 400:
            self._fail(Refused(response, ""))
        ids: list[str] = []
        owner = ""
        if response.status == 200:
            try:
                ids, owner = model_ids(parsed(response.body))
            except BadReply as error:
                if not model.model_id:
                    raise EngineFailure(
                        f"{self._url}{MODELS}: {error}; is the address that of an OpenAI-compatible API?"
                    ) from error
        model_id = model.model_id or (ids[0] if len(ids) == 1 else "")
        if not model_id:
            shown = ", ".join(name[:80] for name in ids[:SHOWN_MODELS]) or "none"
            raise InputError(
                f"{self._url}: lists several models or none ({shown}); name one as {self._url}#MODEL"
            )
        version = "; ".join(part for part in (owner, response.server) if part)
        self.info = EngineInfo("openai-api", version or "unknown", "served", 0, model.named(model_id).spec)
        return model_id

    async def _get_models(self) -> Response:
        timeout_s = min(HELLO_S, self._options.timeout_s)
        async with self._transport.client() as client:
            try:
                return await self._transport.exchange(client, MODELS, None, MODELS_BYTES, timeout_s)
            except Unreachable as error:
                raise EngineFailure(f"{self._url}: the server does not answer ({error})") from error

    @property
    def notes(self) -> tuple[str, ...]:
        """What the report should say about this server, one line each; complete after the last reply."""
        lines = self._seen.notes(self._dialect)
        return tuple(f"{self._url}: {line}" for line in lines)

    @property
    def memory(self) -> Mapping[str, Any]:
        """What its notes rest on and which parameters the server takes, as JSON; see `recall`."""
        return written(Memory(self._seen, self._dialect))

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from the `memory` of an engine that asked the same server before.

        Raises:
            InputError: it is none.
        """
        before = understood(memory)
        self._seen = before.seen
        # the rest is asked as the first part was
        self._dialect = replace(before.dialect, dropped=before.dialect.dropped | self._dialect.dropped)

    def render(self, template: str, conversations: Sequence[Conversation]) -> list[Rendered]:
        """Return each last turn as it is: the server applies a template of its own."""
        return [Rendered(c.id, c.turns[-1]) for c in conversations]

    def generate(self, asks: Sequence[Ask], progress: Progress | None = None) -> list[Answer]:
        """Answer all asks, `concurrency` of them at once; those that fail for good are `crashed`.

        Raises:
            EngineFailure: the server is gone, refuses us, or fails on whatever it is asked.
        """
        if self._closed:
            raise EngineFailure(f"{self._url}: its engine is closed")
        done: dict[int, Answer] = {}
        answered: SimpleQueue[tuple[int, Answer] | None] = SimpleQueue()
        # a thread of its own has the event loop, so that this works where one runs already
        with start_blocking_portal() as portal:
            run = portal.start_task_soon(self._ask_all, asks, answered.put)
            run.add_done_callback(lambda _: answered.put(None))
            while (answer := answered.get()) is not None:
                done[answer[0]] = answer[1]
                if progress:
                    progress(len(done))
            run.result()
        return [done[i] for i in range(len(asks))]

    async def _ask_all(
        self, asks: Sequence[Ask], on_answer: Callable[[tuple[int, Answer] | None], None]
    ) -> None:
        waiting = iter(enumerate(asks))
        failure: list[EngineFailure] = []

        async def keep_asking() -> None:
            try:
                for index, ask in waiting:
                    on_answer((index, await self._answer(client, ask)))
            except EngineFailure as error:
                failure.append(error)
                tasks.cancel_scope.cancel()

        async with self._transport.client() as client:
            async with anyio.create_task_group() as tasks:
                for _ in range(min(self._options.concurrency, len(asks))):
                    tasks.start_soon(keep_asking)
            if not failure and self._failures:
                await self._require_alive(client)
        if failure:
            raise failure[0]

    async def _require_alive(self, client: httpx2.AsyncClient) -> None:
        """Raise EngineFailure if the server is gone, so that the last prompts are not called crashed."""
        timeout_s = min(HELLO_S, self._options.timeout_s)
        try:
            await self._transport.exchange(client, MODELS, None, MODELS_BYTES, timeout_s)
        except Unreachable as error:
            raise EngineFailure(f"{self._url}: the server has gone ({error}); go on with --resume") from error

    async def _answer(self, client: httpx2.AsyncClient, ask: Ask) -> Answer:
        while True:
            dialect = self._dialect
            payload = json.dumps(dialect.request(self._model_id, ask)).encode()
            limit = REPLY_BYTES + POSITION_BYTES * ask.max_tokens
            try:
                reply = await self._patience.fetch(
                    client,
                    COMPLETIONS,
                    payload,
                    limit,
                    lambda body: server_reply(parsed(body), ask),
                    partial(self._wants_another, dialect),
                )
            except Refused as refusal:
                if not self._wants_another(dialect, refusal.said):
                    return self._not_answered(ask, refusal)
                # whoever learns first tells the others; what is under way comes back and asks anew
                if self._dialect == dialect:
                    self._dialect = dialect.simpler(refusal.said) or dialect
            except GaveUp as error:
                self._count_failure(str(error))
                return crashed(ask.id)
            else:
                self._failures = 0
                self._proven = dialect
                return self._take(reply)

    def _wants_another(self, dialect: Dialect, said: str) -> bool:
        return dialect != self._proven and dialect.simpler(said) is not None

    def _take(self, reply: ServerReply) -> Answer:
        self._seen.take(reply)
        return crashed(reply.reply.id) if reply.filtered else Answer(reply.reply, None)

    def _not_answered(self, ask: Ask, refusal: Refused) -> Answer:
        if refusal.status not in (400, 413, 422, 500):
            self._fail(refusal)
        if refusal.status == 413 or is_too_long(refusal.said):
            return Answer(Reply(ask.id, "", 0, "too_long"), None)
        self._count_failure(str(refusal))
        return crashed(ask.id)

    def _count_failure(self, reason: str) -> None:
        self._failures += 1
        if self._failures >= HOPELESS_FAILURES:
            raise EngineFailure(
                f"{self._url}: the server failed on {self._failures} prompts one after the other ({reason}); "
                "look into its log, lower --concurrency, and go on with --resume"
            )

    def _fail(self, refusal: Refused) -> NoReturn:
        raise EngineFailure(f"{self._url}: the server refuses ({refusal}); {self._mend(refusal)}")

    def _mend(self, refusal: Refused) -> str:
        if 300 <= refusal.status < 400:
            return f"it redirects to {refusal.location or 'nowhere'}; give that address if you trust it"
        if refusal.status in (401, 403):
            if self._transport.sends_key:
                return f"is the key in {self._options.api_key_env} the right one for it?"
            return f"put its key into the environment variable {self._options.api_key_env}"
        if refusal.status in (404, 405):
            return f"check the address (it often ends in /v1) and the model id ({self._model_id})"
        return "is it an OpenAI-compatible endpoint?"

    def choose(self, asks: Sequence[ChoiceAsk]) -> list[ChoiceScore]:
        """Raise EngineFailure: a server does not score given text (see `abilities`)."""
        raise EngineFailure(f"{self._url}: a served model does not score continuations")

    def read(self, asks: Sequence[PassageAsk]) -> Iterator[PassageScore]:
        """Raise EngineFailure: a server does not read passages (see `abilities`)."""
        raise EngineFailure(f"{self._url}: a served model does not read passages")

    def close(self) -> None:
        """Ask no more; connections are closed after each call already."""
        self._closed = True


def _in_a_loop(function: Callable[[], Awaitable[Value]]) -> Value:
    with start_blocking_portal() as portal:
        return portal.call(function)
