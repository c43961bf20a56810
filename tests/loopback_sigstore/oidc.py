"""The OpenID Connect issuer: signed tokens, discovery, the authorization code flow, a CI's ambient tokens."""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
from loopback_sigstore.faults import Answer
from loopback_sigstore.keys import new_key

SUBJECT = "https://ci.example.com/qaudit"
OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
WORKFLOW = "example/models/.github/workflows/release.yml@refs/heads/main"
WORKFLOW_CLAIMS = {
    "sub": "repo:example/models:ref:refs/heads/main",
    "event_name": "push",
    "sha": "f" * 40,
    "workflow": "release",
    "repository": "example/models",
    "repository_id": "11",
    "repository_owner": "example",
    "repository_owner_id": "7",
    "repository_visibility": "public",
    "ref": "refs/heads/main",
    "job_workflow_ref": WORKFLOW,
    "job_workflow_sha": "f" * 40,
    "workflow_ref": WORKFLOW,
    "workflow_sha": "f" * 40,
    "runner_environment": "github-hosted",
    "run_id": "42",
    "run_attempt": "1",
}


class Refused(Exception):
    """A service says no; the text goes to the client."""


@dataclass(frozen=True)
class _Grant:
    challenge: str
    redirect: str
    client: str


@dataclass
class OidcIssuer:
    """An issuer at `url`.

    Attributes:
        visitor: the claims of whoever signs in with a browser.
        ambient_secret: what a CI job must show for a token.
    """

    url: str
    visitor: dict[str, Any] = field(
        default_factory=lambda: {"sub": "visitor-1", "email": "ann@example.com", "email_verified": True}
    )

    def __post_init__(self) -> None:
        self._key = new_key()
        self._grants: dict[str, _Grant] = {}
        self.ambient_secret = secrets.token_urlsafe(16)

    def token(
        self,
        subject: str = SUBJECT,
        *,
        email: str | None = None,
        audience: str = "sigstore",
        lifetime_s: int = 300,
        **claims: Any,
    ) -> str:
        """Return a signed identity token; with `email` that is the identity, else the subject."""
        now = int(time.time())
        told: dict[str, Any] = {"iss": self.url, "sub": subject, "aud": audience}
        told |= {"iat": now, "nbf": now - 5, "exp": now + lifetime_s}
        if email is not None:
            told |= {"email": email, "email_verified": True}
        return jwt.encode(told | claims, self._key, algorithm="ES256")

    def workflow_token(self, **claims: Any) -> str:
        """Return the token of a CI workflow, as GitHub's look."""
        return self.token(**(WORKFLOW_CLAIMS | claims))

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token of ours, checked as Fulcio does; raises jwt.PyJWTError."""
        claims: dict[str, Any] = jwt.decode(
            token, self._key.public_key(), algorithms=["ES256"], audience="sigstore", issuer=self.url
        )
        return claims

    def discovery(self) -> Answer:
        """Answer .well-known/openid-configuration."""
        return _json(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/auth",
                "token_endpoint": f"{self.url}/token",
                "response_types_supported": ["code"],
            }
        )

    def authorize(self, query: dict[str, str]) -> Answer:
        """Answer the browser: the visitor is signed in at once and sent back with a code."""
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            raise Refused("only the code flow with an S256 challenge")
        redirect = query["redirect_uri"]
        code = secrets.token_urlsafe(24)
        self._grants[code] = _Grant(query["code_challenge"], redirect, query["client_id"])
        if redirect == OUT_OF_BAND:
            return Answer(200, code.encode(), "text/plain")
        if not redirect.startswith(("http://localhost:", "http://127.0.0.1:")):
            raise Refused("redirects go to loopback only")
        target = f"{redirect}?{urlencode({'code': code, 'state': query['state']})}"
        return Answer(302, b"", headers={"Location": target})

    def redeem(self, form: dict[str, str], authorization: str) -> Answer:
        """Answer the token endpoint: a code, once, for a token."""
        client = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")[0]
        grant = self._grants.pop(form.get("code", ""), None)
        if grant is None or (grant.redirect, grant.client) != (form.get("redirect_uri"), client):
            return _json({"error": "invalid_grant"}, 400)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(verifier).rstrip(b"=").decode() != grant.challenge:
            return _json({"error": "invalid_grant"}, 400)
        claims = dict(self.visitor)
        token = self.token(claims.pop("sub"), audience=client, **claims)
        return _json({"access_token": token, "id_token": token, "token_type": "Bearer"})

    def ambient(self, query: dict[str, str], authorization: str) -> Answer:
        """Answer a CI job that asks for its token."""
        if authorization.lower() != f"bearer {self.ambient_secret}".lower():
            return _json({"message": "not a job of ours"}, 401)
        return _json({"value": self.workflow_token(aud=query.get("audience", "sigstore"))})

    def ambient_environment(self) -> dict[str, str]:
        """Return the variables that a GitHub job has."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/job-token?api-version=2",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.ambient_secret,
        }


def _json(document: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode())
