import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.trust import CONFIG_TYPE
from loopback_sigstore.tuf_repository import TufRepository
from securesystemslib.signer import CryptoSigner

from qaudit.attest.sigstore_trust import packaged_trust, read_trust_config, refreshed_trust, tuf_trust
from qaudit.errors import EnvironmentProblem, InputError, MalformedFile, VerificationFailed


@pytest.fixture
def config(sigstore: LoopbackSigstore) -> dict[str, Any]:
    return sigstore.trust_config()


def written(document: object, folder: Path) -> Path:
    path = folder / "trust.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def refuse(document: object, folder: Path, says: str) -> None:
    with pytest.raises(MalformedFile, match=says) as caught:
        read_trust_config(written(document, folder))
    assert str(caught.value).startswith(str(folder / "trust.json"))
    assert "\n" not in str(caught.value)


def test_a_trust_configuration_is_read(config: dict[str, Any], tmp_path: Path) -> None:
    trust = read_trust_config(written(config, tmp_path))
    assert trust.name == str(tmp_path / "trust.json")
    assert json.loads(trust.trusted_root.to_json()) == config["trustedRoot"]
    assert trust.signing_config is not None
    assert len(trust.sha256) == 64
    bare = read_trust_config(written(config["trustedRoot"], tmp_path))
    assert (bare.signing_config, bare.trusted_root, bare.sha256) == (None, trust.trusted_root, trust.sha256)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("mediaType"), "mediaType is missing"),
        (lambda c: c.update(mediaType=7), "mediaType is missing"),
        (lambda c: c.update(mediaType="text/plain"), "mediaType is another"),
        (lambda c: c.pop("signingConfig"), "holds mediaType, trustedRoot and signingConfig"),
        (lambda c: c.update(more={}), "holds mediaType, trustedRoot and signingConfig"),
        (lambda c: c.update(trustedRoot=None), "trusted root: Input should be an object"),
        (lambda c: c.update(signingConfig=[]), "signing configuration: Input should be an object"),
        (lambda c: c["trustedRoot"].update(tlogs=[]), "lists no transparency log"),
        (lambda c: c["trustedRoot"].update(ctlogs=[]), "lists no certificate transparency log"),
        (lambda c: c["trustedRoot"].update(certificateAuthorities=[]), "lists no certificate authority"),
        (lambda c: c["trustedRoot"].update(surprise=1), "surprise"),
        (lambda c: c["trustedRoot"]["tlogs"][0]["publicKey"]["validFor"].update(start="soon"), "validFor.start"),
        (
            lambda c: c["trustedRoot"]["tlogs"][0]["publicKey"]["validFor"].update(end="2026-01-01T00:00:00"),
            "2026-01-01T00:00:00 is not a time in UTC",
        ),
        (
            lambda c: c["trustedRoot"]["certificateAuthorities"][0]["validFor"].update(start="2026-01-01T00:00:00+02:00"),
            "is not a time in UTC",
        ),
        (lambda c: c["signingConfig"]["caUrls"][0].update(url="http://fulcio.example"), "http://fulcio.example is not an https"),
        (lambda c: c["signingConfig"]["tsaUrls"][0].update(url="ftp://127.0.0.1/"), "is not an https"),
        (lambda c: c["signingConfig"]["oidcUrls"][0].update(url="http://localhost.example"), "is not an https"),
        (lambda c: c["signingConfig"]["caUrls"][0].update(url="https://["), r"https://\[ is not an https"),
        (lambda c: c["signingConfig"]["caUrls"][0].update(url="https://a.example:port"), "is not an https"),
        (lambda c: c["signingConfig"]["caUrls"][0].update(url="https://"), "is not an https"),
    ],
)  # fmt: skip
def test_other_documents_are_refused(
    config: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    change(config)
    refuse(config, tmp_path, says)


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"mediaType": NaN}', '"' + CONFIG_TYPE + '"'])
def test_not_a_document_at_all(tmp_path: Path, text: str) -> None:
    refuse(text, tmp_path, "not a Sigstore trust configuration")


def test_a_key_that_appears_twice_is_refused(config: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(config)
    refuse(text.replace('"tlogs":', '"tlogs": [], "tlogs":', 1), tmp_path, "appears twice")


@given(st.binary(max_size=60))
@settings(max_examples=40)
def test_hostile_bytes_are_only_ever_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "hostile.json"
    path.write_bytes(raw)
    with pytest.raises(InputError):
        read_trust_config(path)


def test_the_packaged_roots_are_the_packages_own_whatever_the_cache_holds(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    production, staging = packaged_trust("production"), packaged_trust("staging")
    assert production.trusted_root.tlogs[0].base_url == "https://rekor.sigstore.dev"
    assert staging.trusted_root.tlogs[0].base_url == "https://rekor.sigstage.dev"
    assert production.signing_config is not None
    # an edited cache is what sigstore itself believes when it is offline
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    folder = tmp_path / "cache/sigstore-python/tuf/https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
    folder.mkdir(parents=True)
    (folder / "trusted_root.json").write_text(json.dumps(config["trustedRoot"]))
    assert packaged_trust("production") == production


def test_reading_packaged_trust_opens_no_connection() -> None:
    # a fresh process, in which any use of a socket is an error
    code = (
        "import socket\n"
        "def no(*a, **k): raise SystemExit('network')\n"
        "socket.socket.connect = no; socket.getaddrinfo = no\n"
        "from qaudit.attest.sigstore_trust import packaged_trust\n"
        "print(packaged_trust().name)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "production" in told.stdout


@pytest.fixture
def repository(sigstore: LoopbackSigstore, tmp_path: Path) -> tuple[TufRepository, Path]:
    repository = TufRepository(sigstore)
    root = tmp_path / "root.json"
    root.write_bytes(repository.first_root)
    return repository, root


def test_trust_comes_from_a_tuf_repository_and_follows_it(
    repository: tuple[TufRepository, Path], sigstore: LoopbackSigstore
) -> None:
    tuf, root = repository
    trust = tuf_trust(tuf.url + "/", root)
    assert json.loads(trust.trusted_root.to_json()) == sigstore.trusted_root()
    assert trust.name == f"the TUF repository {tuf.url}"
    tuf.rotate_root()
    sigstore.stamps = False
    tuf.publish()
    assert tuf_trust(tuf.url, root).trusted_root.timestamp_authorities == []


def test_tuf_metadata_that_does_not_verify_is_refused(repository: tuple[TufRepository, Path]) -> None:
    tuf, root = repository
    with tuf.rolled_back():
        tuf.publish()
        tuf_trust(tuf.url, root)
    with pytest.raises(
        VerificationFailed, match=r"TUF metadata does not verify \(another version than must follow"
    ):
        tuf_trust(tuf.url, root)
    tuf.publish()
    tuf.publish(lifetime=timedelta(seconds=-1))
    with pytest.raises(VerificationFailed, match=r"does not verify \(it has expired"):
        tuf_trust(tuf.url, root)
    tuf.publish(signer=CryptoSigner.generate_ed25519())
    with pytest.raises(VerificationFailed, match=r"does not verify \(not signed by those"):
        tuf_trust(tuf.url, root)


def test_a_changed_target_is_refused(repository: tuple[TufRepository, Path]) -> None:
    tuf, root = repository
    tuf.tamper()
    with pytest.raises(VerificationFailed, match=r"does not verify \(a file is not the one"):
        tuf_trust(tuf.url, root)


def test_another_root_than_the_repositorys_is_refused(
    repository: tuple[TufRepository, Path], start_sigstore: Callable[..., LoopbackSigstore], tmp_path: Path
) -> None:
    tuf, _ = repository
    foreign = tmp_path / "foreign.json"
    foreign.write_bytes(TufRepository(start_sigstore()).first_root)
    with pytest.raises(VerificationFailed, match="does not verify"):
        tuf_trust(tuf.url, foreign)


def test_a_private_repository_needs_its_root(repository: tuple[TufRepository, Path], tmp_path: Path) -> None:
    tuf, root = repository
    tuf_trust(tuf.url, root)
    # not even now, with metadata of it in the cache
    with pytest.raises(InputError, match="--tuf-root"):
        tuf_trust(tuf.url)
    with pytest.raises(InputError, match="cannot be read"):
        tuf_trust(tuf.url, tmp_path / "missing.json")
    garbage = tmp_path / "garbage.json"
    garbage.write_text("{}")
    with pytest.raises((InputError, VerificationFailed), match=tuf.url):
        tuf_trust(tuf.url, garbage)
    for odd in ("file:///etc", "http://[", "https://a.example:port", "https://", ""):
        with pytest.raises(InputError, match="not an http or https address"):
            tuf_trust(odd, root)


def test_an_unreachable_repository_is_an_environment_problem(
    repository: tuple[TufRepository, Path], sigstore: LoopbackSigstore
) -> None:
    tuf, root = repository
    sigstore.stop()
    with pytest.raises(
        EnvironmentProblem,
        match=r"cannot be fetched \(no connection, or no answer in time\); check the network",
    ):
        tuf_trust(tuf.url, root)


def test_the_public_repositories_roots_are_known(
    monkeypatch: pytest.MonkeyPatch, start_sigstore: Callable[..., LoopbackSigstore]
) -> None:
    start_sigstore()
    # a proxy on a port where nobody listens: nothing can be fetched, and nothing else is needed first
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(EnvironmentProblem, match=r"tuf-repo-cdn\.sigstage\.dev: cannot be fetched"):
        refreshed_trust("staging")


def test_a_public_repositorys_root_is_not_replaced(tmp_path: Path) -> None:
    other = tmp_path / "root.json"
    other.write_text("{}")
    with pytest.raises(InputError, match=r"not the root of .* that sigstore carries; leave it out"):
        tuf_trust("https://tuf-repo-cdn.sigstore.dev/", other)
