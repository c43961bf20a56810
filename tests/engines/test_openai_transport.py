import datetime
import ipaddress
import ssl
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from odd_server import Act, OddServer, drip, drop, drop_halfway, gigabyte, odd_server, raw, say, stall

from qaudit.checkpoints.served import ServedModel
from qaudit.engines.openai_transport import Response, Transport, Unreachable, _seconds
from qaudit.engines.protocol import ServedOptions
from qaudit.errors import InputError

KEY = "sk-0123456789abcdef0123456789abcdef"
PAYLOAD = b'{"messages": [{"content": "q"}]}'
LIMIT = 1 << 16


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "odd.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture
def odd_tls(certificate: Path) -> Iterator[OddServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with odd_server(context) as server:
        yield server


def exchange(url: str, limit: int = LIMIT, **options: object) -> Response:
    transport = Transport(ServedModel(url), ServedOptions(**options))  # type: ignore[arg-type]

    async def once() -> Response:
        async with transport.client() as client:
            return await transport.exchange(client, "/chat/completions", PAYLOAD, limit)

    return anyio.run(once)


def test_a_reply_comes_back_with_what_was_asked_for(odd: OddServer) -> None:
    response = exchange(odd.url)
    assert response.status == 200
    assert b"echo q" in response.body
    path, headers, _ = odd.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in headers


def test_the_key_comes_from_its_variable_only(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-you")
    exchange(odd.url)
    monkeypatch.setenv("QAUDIT_API_KEY", KEY)
    exchange(odd.url)
    exchange(odd.url, api_key_env="OPENAI_API_KEY")
    sent = [headers.get("Authorization") for _, headers, _ in odd.asked]
    assert sent == [None, f"Bearer {KEY}", "Bearer sk-not-for-you"]


def test_a_variable_that_was_named_must_hold_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(InputError, match="NO_SUCH_KEY holds no API key"):
        Transport(ServedModel("https://host"), ServedOptions(api_key_env="NO_SUCH_KEY"))


@pytest.mark.parametrize("end", ["\n", "\r\nX-Evil: 1", " x", "é", "k" * 5000])
def test_a_key_that_no_header_takes_is_refused_and_not_shown(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QAUDIT_API_KEY", KEY + end)
    with pytest.raises(InputError, match="set it again") as error:
        Transport(ServedModel("https://host"), ServedOptions())
    assert KEY not in str(error.value)


def test_proxies_and_netrc_of_the_environment_are_not_used(
    odd: OddServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert exchange(odd.url).status == 200
    assert "Authorization" not in odd.asked[0][1]


def test_http_to_another_machine_must_be_allowed() -> None:
    with pytest.raises(InputError, match="use https, or allow it with --insecure-http"):
        Transport(ServedModel("http://192.0.2.1:8000"), ServedOptions())
    Transport(ServedModel("http://192.0.2.1:8000"), ServedOptions(insecure_http=True))
    Transport(ServedModel("https://192.0.2.1:8000"), ServedOptions())


def test_a_certificate_that_nobody_vouches_for_is_refused(odd_tls: OddServer) -> None:
    with pytest.raises(Unreachable, match=r"certificate is not trusted.*give --ca-bundle") as error:
        exchange(odd_tls.url)
    assert error.value.hopeless
    assert odd_tls.asked == []


def test_environment_certificates_are_not_trusted(
    odd_tls: OddServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(Unreachable, match="not trusted"):
        exchange(odd_tls.url)


def test_a_certificate_of_the_bundle_is_accepted(odd_tls: OddServer, certificate: Path) -> None:
    assert exchange(odd_tls.url, ca_bundle=certificate).status == 200


def test_a_certificate_for_another_name_is_refused(odd_tls: OddServer, certificate: Path) -> None:
    with pytest.raises(Unreachable, match="not trusted"):
        exchange(odd_tls.url.replace("127.0.0.1", "localhost"), ca_bundle=certificate)


def test_https_where_http_is_spoken(odd: OddServer) -> None:
    with pytest.raises(Unreachable, match="does not speak TLS") as error:
        exchange(odd.url.replace("http:", "https:"))
    assert error.value.hopeless


@pytest.mark.parametrize("content", [None, "not PEM"])
def test_a_bundle_that_is_none_is_one_line(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(InputError, match=r"ca\.pem: no certificates can be read"):
        Transport(ServedModel("https://host"), ServedOptions(ca_bundle=path))


@pytest.mark.parametrize("act", [stall, drip])
def test_a_server_that_never_ends_is_left(odd: OddServer, act: Act) -> None:
    odd.acts["q"] = [act]
    with pytest.raises(Unreachable, match=r"no whole response within 0\.3 s") as error:
        exchange(odd.url, timeout_s=0.3)
    assert error.value.slow


@pytest.mark.parametrize("act", [drop, drop_halfway])
def test_a_dropped_connection_may_be_tried_again(odd: OddServer, act: Act) -> None:
    odd.acts["q"] = [act]
    with pytest.raises(Unreachable) as error:
        exchange(odd.url)
    assert not error.value.slow
    assert not error.value.hopeless


def test_nobody_there() -> None:
    with odd_server() as server:
        url = server.url
    with pytest.raises(Unreachable, match="connection"):
        exchange(url)


@pytest.mark.parametrize("told", [True, False])
def test_a_gigabyte_is_not_read(odd: OddServer, told: bool) -> None:
    odd.acts["q"] = [partial(gigabyte, told=told)]
    tracemalloc.start()
    try:
        with pytest.raises(Unreachable, match="longer than 65536 bytes") as error:
            exchange(odd.url)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.value.hopeless
    # the server's own block of 1 MiB is counted too, it lives in this process
    assert peak < 16 << 20
    assert odd.sent < 64 << 20


def test_of_an_endless_error_the_beginning_is_read(odd: OddServer) -> None:
    odd.acts["q"] = [raw(b"x" * (1 << 20), 500)]
    response = exchange(odd.url)
    assert (response.status, len(response.body)) == (500, LIMIT)


def test_a_compressed_body_is_refused(odd: OddServer) -> None:
    odd.acts["q"] = [raw(b"\x1f\x8b", Content_Encoding="gzip")]
    with pytest.raises(Unreachable, match="compressed"):
        exchange(odd.url)


def test_a_redirect_is_not_followed(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QAUDIT_API_KEY", KEY)
    with odd_server() as other:
        odd.acts["q"] = [raw(b"", 307, Location=f"{other.url}/chat/completions?k={KEY}")]
        response = exchange(odd.url)
        assert response.status == 307
        assert response.location == f"{other.url}/chat/completions?k=[key]"
        assert other.asked == []


def test_a_key_that_the_server_repeats_is_taken_out(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QAUDIT_API_KEY", KEY)
    odd.acts["q"] = [say(f"you sent {KEY}")]
    assert KEY.encode() not in exchange(odd.url).body


def test_a_word_that_stands_for_no_key_is_not(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QAUDIT_API_KEY", "EMPTY")
    odd.acts["q"] = [say("the box is EMPTY")]
    assert b"EMPTY" in exchange(odd.url).body


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", None), ("", None), ("-3", None)])
def test_retry_after(header: str, seconds: float | None) -> None:
    assert _seconds(header) == seconds


def test_retry_after_a_date() -> None:
    assert _seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    assert 80 < (_seconds(later.strftime("%a, %d %b %Y %H:%M:%S GMT")) or 0) <= 90


@given(
    st.text(max_size=40)
    | st.from_regex(r"\w{3}, \d{1,3} \w{3} \d{1,5} \d+:\d+:\d+ [+-]?\w{0,6}", fullmatch=True)
)
def test_any_retry_after_is_a_time_or_none(header: str) -> None:
    seconds = _seconds(header)
    assert seconds is None or seconds >= 0
