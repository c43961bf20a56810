import base64
import gc
import hashlib
import threading
import urllib.request
import webbrowser

import jwt
import pytest
import requests
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.oidc import OUT_OF_BAND
from sigstore.oidc import Issuer, detect_credential

CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(b"verifier").digest()).rstrip(b"=").decode()


# the client never closes the socket that it waits on for the browser
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_a_browser_signs_in(sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    visits: list[threading.Thread] = []

    def visit(url: str) -> None:
        with urllib.request.urlopen(url) as page:  # noqa: S310 - loopback
            page.read()

    def browse(url: str) -> bool:
        visits.append(threading.Thread(target=visit, args=(url,)))
        visits[0].start()
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    token = Issuer(sigstore.url).identity_token()
    visits[0].join()
    claims = sigstore.oidc.claims(str(token))
    assert (claims["email"], claims["sub"]) == ("ann@example.com", "visitor-1")
    gc.collect()


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_a_terminal_signs_in_with_a_code(
    sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def type_code(prompt: str) -> str:
        link = capsys.readouterr().err.split()[-1]
        with requests.get(link, timeout=120) as page:
            return page.text

    monkeypatch.setattr("builtins.input", type_code)
    token = Issuer(sigstore.url).identity_token(force_oob=True)
    assert sigstore.oidc.claims(str(token))["email"] == "ann@example.com"
    gc.collect()


def redeem(sigstore: LoopbackSigstore, **form: str) -> requests.Response:
    with requests.post(sigstore.url + "/token", data=form, auth=("sigstore", ""), timeout=120) as reply:
        return reply


def test_a_code_counts_once_and_for_its_own_client(sigstore: LoopbackSigstore) -> None:
    query = {
        "response_type": "code",
        "code_challenge_method": "S256",
        "redirect_uri": OUT_OF_BAND,
        "code_challenge": CHALLENGE,
        "client_id": "sigstore",
    }

    def code() -> str:
        with requests.get(sigstore.url + "/auth", params=query, timeout=120) as page:
            return page.text

    once = code()
    good = {"redirect_uri": OUT_OF_BAND, "code_verifier": "verifier"}
    assert redeem(sigstore, code=once, **good).ok
    assert redeem(sigstore, code=once, **good).json() == {"error": "invalid_grant"}
    assert not redeem(sigstore, code=code(), **good | {"code_verifier": "other"}).ok
    assert not redeem(sigstore, code=code(), **good | {"redirect_uri": "http://localhost:1/"}).ok
    query["redirect_uri"] = "http://example.com/"
    with requests.get(sigstore.url + "/auth", params={**query, "state": "s"}, timeout=120) as page:
        assert page.status_code == 403


def test_a_ci_job_has_a_token(sigstore: LoopbackSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sigstore.oidc.ambient_environment().items():
        monkeypatch.setenv(name, value)
    token = detect_credential()
    assert token is not None
    assert sigstore.oidc.claims(token)["repository"] == "example/models"
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "stolen")
    with pytest.raises(Exception, match="401"):
        detect_credential()


def test_tokens_are_checked(sigstore: LoopbackSigstore) -> None:
    assert sigstore.oidc.claims(sigstore.token("https://x.example"))["sub"] == "https://x.example"
    for bad in (sigstore.token(lifetime_s=-1), sigstore.token(audience="other"), sigstore.token() + "x"):
        with pytest.raises(jwt.PyJWTError):
            sigstore.oidc.claims(bad)
