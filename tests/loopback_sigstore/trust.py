"""What a client must trust: the trusted root and the signing configuration, with windows that can be moved."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from loopback_sigstore.keys import SigningKey, key_details, spki, text64

ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
SIGNING_TYPE = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
CONFIG_TYPE = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"


@dataclass(frozen=True)
class Window:
    """When a key counts: the `validFor` of a trusted root."""

    start: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=1))
    end: datetime | None = None

    def document(self) -> dict[str, str]:
        """Return it as the trusted root writes it."""
        told = {"start": _text(self.start)}
        return told if self.end is None else told | {"end": _text(self.end)}


def ended(ago: timedelta = timedelta(hours=1)) -> Window:
    """Return a window that is over: what it covered was retired."""
    now = datetime.now(UTC)
    return Window(now - timedelta(days=365), now - ago)


def not_begun(ahead: timedelta = timedelta(hours=1)) -> Window:
    """Return a window that lies in the future."""
    return Window(datetime.now(UTC) + ahead)


@dataclass
class Windows:
    """The window of each kind of key."""

    authority: Window = field(default_factory=Window)
    certificates_log: Window = field(default_factory=Window)
    log: Window = field(default_factory=Window)
    timestamps: Window = field(default_factory=Window)


def log_instance(url: str, key: SigningKey, log_id: bytes, window: Window) -> dict[str, Any]:
    """Return a transparency log as the trusted root lists it."""
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": text64(spki(key)),
            "keyDetails": key_details(key),
            "validFor": window.document(),
        },
        "logId": {"keyId": text64(log_id)},
    }


def authority(url: str, name: str, chain: Sequence[x509.Certificate], window: Window) -> dict[str, Any]:
    """Return a certificate or timestamp authority as the trusted root lists it."""
    certificates = [{"rawBytes": text64(c.public_bytes(Encoding.DER))} for c in chain]
    return {
        "subject": {"organization": "qaudit-loopback", "commonName": name},
        "uri": url,
        "certChain": {"certificates": certificates},
        "validFor": window.document(),
    }


def signing_config(url: str, log_version: int, timestamps: bool) -> dict[str, Any]:
    """Return where a client signs."""

    def service(address: str, version: int = 1) -> dict[str, Any]:
        window = Window().document()
        return {"url": address, "majorApiVersion": version, "validFor": window, "operator": "loopback"}

    return {
        "mediaType": SIGNING_TYPE,
        "caUrls": [service(url)],
        "oidcUrls": [service(url)],
        "rekorTlogUrls": [service(url, log_version)],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [service(f"{url}/api/v1/timestamp")] if timestamps else [],
        "tsaConfig": {"selector": "ANY"},
    }


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
