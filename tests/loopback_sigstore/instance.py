"""A whole Sigstore on 127.0.0.1 that the real client signs and verifies with.

Identity provider, certificate authority with its transparency log, Rekor v1 or v2, timestamp authority,
and a TUF repository that publishes whom to trust. Everything that was signed verifies after it stopped.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qsl

import jwt
from cryptography.exceptions import InvalidSignature
from loopback_sigstore.faults import Answer, Faults
from loopback_sigstore.fulcio import Fulcio
from loopback_sigstore.keys import sha256, spki
from loopback_sigstore.oidc import OidcIssuer, Refused
from loopback_sigstore.rekor import Rekor
from loopback_sigstore.server import LoopbackServer
from loopback_sigstore.timestamping import TimestampAuthority
from loopback_sigstore.trust import CONFIG_TYPE, ROOT_TYPE, Windows, authority, log_instance, signing_config

Route = Callable[[dict[str, str], dict[str, str], bytes], Answer]


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class LoopbackSigstore:
    """The instance; use it in a `with` statement.

    Attributes:
        url: where it listens; also the issuer of its tokens.
        oidc, fulcio, rekor, timestamps: its services.
        faults: how it misbehaves.
        windows: when its keys count, as the trusted root says.
        asked: all requests so far.
        pages: path to an answer, for what is published beside the services (TUF).
    """

    def __init__(
        self,
        *,
        rekor: Literal[1, 2] = 1,
        log_key: Literal["ecdsa", "ed25519"] = "ecdsa",
        timestamps: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._server = LoopbackServer(self)
        self.url = self._server.url
        self.faults, self.windows = Faults(), Windows()
        self.stamps = timestamps
        self.oidc = OidcIssuer(self.url)
        self.fulcio = Fulcio(self.oidc, self.faults, clock)
        self.rekor = Rekor(rekor, log_key, self.faults, clock)
        self.timestamps = TimestampAuthority(self.faults, clock)
        self.asked: list[Asked] = []
        self.pages: dict[str, bytes] = {}
        self._routes: dict[tuple[str, str], Route] = {
            ("GET", "/.well-known/openid-configuration"): lambda query, headers, body: self.oidc.discovery(),
            ("GET", "/auth"): lambda query, headers, body: self.oidc.authorize(query),
            ("POST", "/token"): lambda query, headers, body: self.oidc.redeem(
                dict(parse_qsl(body.decode())), headers.get("authorization", "")
            ),
            ("GET", "/job-token"): lambda query, headers, body: self.oidc.ambient(
                query, headers.get("authorization", "")
            ),
            ("POST", "/api/v2/signingCert"): lambda query, headers, body: _json(
                self.fulcio.answer(body, headers.get("authorization", ""))
            ),
            ("POST", "/api/v1/timestamp"): lambda query, headers, body: Answer(
                201, self.timestamps.answer(body), "application/timestamp-reply"
            ),
            ("POST", f"/api/v{rekor}/log/entries"): self._log_v1 if rekor == 1 else self._log_v2,
        }

    def __enter__(self) -> "LoopbackSigstore":
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is None and self._server.crashes:
            raise RuntimeError(f"the loopback Sigstore crashed: {self._server.crashes}")

    def stop(self) -> None:
        """Go away: connections are refused from now on."""
        self._server.stop()

    def token(self, *arguments: Any, **claims: Any) -> str:
        """Return an identity token; see OidcIssuer.token."""
        return self.oidc.token(*arguments, **claims)

    def trusted_root(self) -> dict[str, Any]:
        """Return whom to trust, with the windows as they are set now."""
        windows, fulcio, rekor = self.windows, self.fulcio, self.rekor
        return {
            "mediaType": ROOT_TYPE,
            "tlogs": [log_instance(self.url, rekor.key, rekor.log_id, windows.log)],
            "ctlogs": [
                log_instance(self.url, fulcio.ct_key, sha256(spki(fulcio.ct_key)), windows.certificates_log)
            ],
            "certificateAuthorities": [
                authority(self.url, "root", fulcio.authority.chain, windows.authority)
            ],
            "timestampAuthorities": [
                authority(self.url, "timestamp root", self.timestamps.chain, windows.timestamps)
            ]
            if self.stamps
            else [],
        }

    def signing_config(self) -> dict[str, Any]:
        """Return where to sign."""
        return signing_config(self.url, self.rekor.version, self.stamps)

    def trust_config(self) -> dict[str, Any]:
        """Return both in one document, as --trust-config takes it."""
        return {
            "mediaType": CONFIG_TYPE,
            "trustedRoot": self.trusted_root(),
            "signingConfig": self.signing_config(),
        }

    def write_trust_config(self, path: Path) -> Path:
        """Write the trust configuration to a file; return its path."""
        path.write_text(json.dumps(self.trust_config()))
        return path

    def respond(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer one request."""
        asked = Asked(method, path, dict(parse_qsl(query)), headers, body)
        self.asked.append(asked)
        if path in self.faults.hangs:
            self._server.stopping.wait()
            return _problem(503, "stopped")
        if path in self.faults.answers:
            return self.faults.answers[path]
        if method == "GET" and path in self.pages:
            return Answer(200, self.pages[path], "application/octet-stream")
        route = self._routes.get((method, path))
        if route is None:
            return _problem(404, "no such page")
        try:
            return route(asked.query, headers, body)
        except (Refused, jwt.PyJWTError) as error:
            return _problem(403, str(error))
        except (InvalidSignature, ValueError, KeyError) as error:
            return _problem(400, f"{type(error).__name__}: {error}")

    def _log_v1(self, query: dict[str, str], headers: dict[str, str], body: bytes) -> Answer:
        name, entry = self.rekor.add_v1(body)
        # Go clients take the entry's name from the ETag
        told = {"ETag": name, "Location": f"/api/v1/log/entries/{name}"}
        return Answer(201, json.dumps({name: entry}).encode(), headers=told)

    def _log_v2(self, query: dict[str, str], headers: dict[str, str], body: bytes) -> Answer:
        return _json(self.rekor.add_v2(body), 201)


def _json(document: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode())


def _problem(status: int, message: str) -> Answer:
    return _json({"code": status, "message": message}, status)
