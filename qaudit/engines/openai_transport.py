"""One exchange with a server: TLS verified, the key from the environment, every byte counted.

Nothing is taken from the environment but the key: no proxies, no netrc, no certificates. A redirect
is not followed, because the prompts and the key are meant for one host only.
"""

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from qaudit.checkpoints.served import ServedModel
from qaudit.engines.answers import one_line
from qaudit.engines.protocol import ServedOptions
from qaudit.errors import InputError, MissingExtra

try:
    import anyio
    import httpx2
except ImportError as error:
    raise MissingExtra("httpx2", "serve") from error

MAX_COMPLAINT_BYTES = 1 << 16
MAX_KEY = 4096
# "EMPTY" and the like stand for no key, and may well be words of a reply
SECRET_FROM = 12
CONNECT_S = 20.0


class Unreachable(Exception):
    """No whole response came; `str` says why.

    Attributes:
        slow: it took its time to fail, so that trying often takes very long.
        hopeless: another try will end in the same way.
    """

    def __init__(self, reason: str, *, slow: bool = False, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.slow = slow
        self.hopeless = hopeless


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: the body within its bound, without the key should the server repeat it."""

    status: int
    body: bytes
    retry_after_s: float | None
    server: str
    location: str


class Transport:
    """Exchanges with one server.

    Args:
        model: where it is.
        options: key, time limit and trust.

    Raises:
        InputError: the key or the CA bundle cannot be used, or http would leave this machine.
    """

    def __init__(self, model: ServedModel, options: ServedOptions) -> None:
        if not (model.is_encrypted or model.is_loopback or options.insecure_http):
            raise InputError(
                f"{model.url}: http to another machine can be read and altered on the way; "
                "use https, or allow it with --insecure-http"
            )
        self.url = model.url
        self._options = options
        self._key = _key_of(options.api_key_env)
        self._tls = _trust(options.ca_bundle, needed=model.is_encrypted)

    @property
    def sends_key(self) -> bool:
        """Whether a key was found in the environment."""
        return bool(self._key)

    def client(self) -> httpx2.AsyncClient:
        """Return a client for use in one event loop; it keeps its connections open until it is closed."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "qaudit"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        connections = self._options.concurrency
        return httpx2.AsyncClient(
            headers=headers,
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            # the whole exchange is limited in `exchange`
            timeout=httpx2.Timeout(None, connect=min(CONNECT_S, self._options.timeout_s)),
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def exchange(
        self,
        client: httpx2.AsyncClient,
        path: str,
        payload: bytes | None,
        limit: int,
        timeout_s: float | None = None,
    ) -> Response:
        """Send one request (POST with a payload, else GET); return what came, whatever its status.

        Args:
            client: from `client`.
            path: below the server's address, with a slash in front.
            payload: JSON.
            limit: the longest body in bytes; of an error's body no more than its beginning is read.
            timeout_s: in place of the options' limit.

        Raises:
            Unreachable: nothing came, or it broke off, or is over its bounds of time and size.
        """
        most_s = timeout_s or self._options.timeout_s
        request = client.build_request(
            "POST" if payload is not None else "GET",
            self.url + path,
            content=payload,
            headers={"Content-Type": "application/json"} if payload is not None else None,
        )
        try:
            with anyio.fail_after(most_s):
                response = await client.send(request, stream=True)
                try:
                    body = await self._body(response, limit)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise Unreachable(f"no whole response within {most_s:g} s", slow=True) from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise self._unreachable(error) from error
        headers = response.headers
        return Response(
            response.status_code,
            body,
            _seconds(headers.get("retry-after", "")),
            self._without_key(one_line(headers.get("server", ""), 100)),
            self._without_key(one_line(headers.get("location", ""), 200)),
        )

    async def _body(self, response: httpx2.Response, limit: int) -> bytes:
        fine = response.status_code == 200
        most = limit if fine else MAX_COMPLAINT_BYTES
        # inflating has no bound that could be set beforehand, so it is not done
        if fine and response.headers.get("content-encoding", "identity") != "identity":
            raise Unreachable("the response is compressed, which was not asked for", hopeless=True)
        told = response.headers.get("content-length", "")
        if fine and told.isdecimal() and (len(told) > 18 or int(told) > most):
            raise Unreachable(f"the response is longer than {most} bytes", hopeless=True)
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > most:
                if fine:
                    raise Unreachable(f"the response is longer than {most} bytes", hopeless=True)
                break
        raw = bytes(body[:most])
        return raw.replace(self._key.encode(), b"[key]") if len(self._key) >= SECRET_FROM else raw

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "[key]") if len(self._key) >= SECRET_FROM else text

    def _unreachable(self, error: httpx2.HTTPError | httpx2.StreamError) -> Unreachable:
        reason = self._without_key(one_line(str(error), 200)) or type(error).__name__
        # only a handshake fails for good; a connection that breaks off is an SSL error too
        if isinstance(error, httpx2.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in reason:
            return Unreachable(f"its certificate is not trusted ({reason}); give --ca-bundle", hopeless=True)
        if isinstance(error, httpx2.ConnectError) and "WRONG_VERSION_NUMBER" in reason:
            return Unreachable("it does not speak TLS; is it an http address?", hopeless=True)
        return Unreachable(reason)


def _key_of(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "")
    if not key and variable != ServedOptions.__dataclass_fields__["api_key_env"].default:
        raise InputError(f"the environment variable {one_line(variable, 80)} holds no API key; set it")
    if len(key) > MAX_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(
            f"{one_line(variable, 80)}: the key in it is too long or holds spaces or line ends; set it again"
        )
    return key


def _trust(ca_bundle: Path | None, *, needed: bool) -> ssl.SSLContext:
    if ca_bundle is None and not needed:
        # verifies, and knows nobody: the system's authorities take their time to load
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_bundle is None:
        return httpx2.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=str(ca_bundle))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise InputError(
            f"{ca_bundle}: no certificates can be read from it ({one_line(str(error), 200)}); give a PEM file"
        ) from error


def _seconds(retry_after: str) -> float | None:
    """Return what a Retry-After header asks for: a number of seconds, or a date."""
    if retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
