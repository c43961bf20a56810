"""Patience with a server: what is tried again, how often, and after how long.

A server that asks for time (429, or Retry-After with anything) holds back every prompt, not only the
one that it told.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
import httpx2

from qaudit.engines.openai_replies import BadReply, complaint
from qaudit.engines.openai_transport import Response, Transport, Unreachable
from qaudit.engines.protocol import ServedOptions

MAX_BACKOFF_S = 30.0
MAX_RETRY_AFTER_S = 60.0
# how long one prompt may be put off by a server that is busy with others
MAX_THROTTLED_S = 900.0
SLOW_RETRIES = 2
_PASSING = frozenset({408, 425, 429})
_FOR_GOOD = frozenset({501, 505})
Value = TypeVar("Value")


class Refused(Exception):
    """The server will not do this, however often it is asked.

    Attributes:
        status: of its response.
        said: its words, in one line; empty where it has none.
        location: where a redirect leads.
    """

    def __init__(self, response: Response, said: str) -> None:
        super().__init__(f"{response.status}{f': {said}' if said else ''}")
        self.status = response.status
        self.said = said
        self.location = response.location


class GaveUp(Exception):
    """The server did not answer, after all tries; `str` says what came last."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    reason: str
    slow: bool = False
    throttled: bool = False
    retry_after_s: float | None = None


class Patience:
    """Asks one server until it answers or there is no point in going on.

    Args:
        transport: the server.
        options: retries and the first wait.
    """

    def __init__(self, transport: Transport, options: ServedOptions) -> None:
        self._transport = transport
        self._options = options
        # SystemRandom leaves the caller's seeded generator alone
        self._random = random.SystemRandom()
        self._not_before = 0.0

    async def fetch(
        self,
        client: httpx2.AsyncClient,
        path: str,
        payload: bytes,
        limit: int,
        read: Callable[[bytes], Value],
        concerns_request: Callable[[str], bool],
    ) -> Value:
        """Send a request until its response can be read.

        Args:
            client: of the transport.
            path: below the server's address.
            payload: JSON.
            limit: the longest body in bytes.
            read: turns a body into a value or raises BadReply.
            concerns_request: tells from a server's words that it would take another request; some
                servers say so with the status of a crash.

        Raises:
            Refused: another request is wanted, or none.
            GaveUp: the server did not answer.
        """
        failures = slow = throttled = 0
        put_off_since = 0.0
        while True:
            await anyio.sleep(max(0.0, self._not_before - anyio.current_time()))
            try:
                response = await self._transport.exchange(client, path, payload, limit)
                if response.status == 200:
                    return read(response.body)
                trouble = _trouble(response, concerns_request)
            except Unreachable as error:
                if error.hopeless:
                    raise GaveUp(str(error)) from error
                trouble = _Trouble(str(error), slow=error.slow)
            except BadReply as error:
                # the server had the whole work of a reply: once or twice more, not for ever
                trouble = _Trouble(str(error), slow=True)
            now = anyio.current_time()
            if trouble.throttled:
                put_off_since = put_off_since or now
                throttled += 1
            else:
                failures += 1
                slow += trouble.slow
            if (
                failures > self._options.retries
                or slow > SLOW_RETRIES
                or (throttled and now - put_off_since > MAX_THROTTLED_S)
            ):
                raise GaveUp(trouble.reason)
            if trouble.retry_after_s is not None:
                wait = min(trouble.retry_after_s, MAX_RETRY_AFTER_S)
                self._not_before = max(self._not_before, now + wait)
            await anyio.sleep(self._backoff(throttled if trouble.throttled else failures))

    def _backoff(self, tries: int) -> float:
        longest = min(MAX_BACKOFF_S, self._options.backoff_s * 2.0 ** min(tries - 1, 16))
        return self._random.uniform(longest / 2, longest)


def _trouble(response: Response, concerns_request: Callable[[str], bool]) -> _Trouble:
    said = complaint(response.body)
    status = response.status
    passing = status in _PASSING or (status >= 500 and status not in _FOR_GOOD)
    if not passing or (status != 429 and said and concerns_request(said)):
        raise Refused(response, said)
    return _Trouble(
        f"{status}{f': {said}' if said else ''}",
        throttled=status == 429,
        retry_after_s=response.retry_after_s,
    )
