"""Keyless bundles that must not pass, each a good one with one thing wrong.

A knock-out is done at signing (the services misbehave, but their signatures are good), to the bundle
afterwards, or to the trusted root that the verifier has.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from loopback_sigstore.certificates import Leaf
from loopback_sigstore.faults import Stamp
from loopback_sigstore.forging import forge
from loopback_sigstore.instance import LoopbackSigstore
from loopback_sigstore.keys import text64
from loopback_sigstore.trust import Window

Version = Literal[1, 2]
Document = dict[str, Any]
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Knockout:
    """One thing that is wrong, and words that the refusal must hold.

    Attributes:
        says: a pattern of the message.
        signing: makes the services misbehave.
        bundle: changes the bundle.
        root: changes the verifier's trusted root.
        versions: the interfaces of the log that it makes sense for.
        timestamps: whether there is a timestamp authority.
    """

    says: str
    signing: Callable[[LoopbackSigstore], object] = lambda instance: None
    bundle: Callable[[Document, LoopbackSigstore], object] = lambda bundle, instance: None
    root: Callable[[Document], object] = lambda root: None
    versions: tuple[Version, ...] = (1, 2)
    timestamps: bool = True


def leaf(**changes: Any) -> Callable[[LoopbackSigstore], object]:
    return fault(leaf=lambda good: replace(good, **changes))


def fault(**changes: Any) -> Callable[[LoopbackSigstore], object]:
    def apply(instance: LoopbackSigstore) -> None:
        for name, value in changes.items():
            setattr(instance.faults, name, value)

    return apply


def window(**changes: Window) -> Callable[[LoopbackSigstore], object]:
    def apply(instance: LoopbackSigstore) -> None:
        for name, value in changes.items():
            setattr(instance.windows, name, value)

    return apply


def entry_of(bundle: Document) -> Document:
    entry: Document = bundle["verificationMaterial"]["tlogEntries"][0]
    return entry


def other(bundle: Document, instance: LoopbackSigstore) -> Document:
    """Another good bundle of the same signer over the same statement."""
    return forge(instance, base64.b64decode(bundle["dsseEnvelope"]["payload"]))


def flip64(text: str, position: int = -1) -> str:
    data = bytearray(base64.b64decode(text))
    data[position] ^= 1
    return text64(bytes(data))


def plus_one(holder: Document, key: str) -> None:
    holder[key] = str(int(holder[key]) + 1)


def other_payload(entry: Document) -> Document:
    """An entry, good in itself, for other bytes: as if another envelope had been logged."""
    if entry["kind"] == "dsse":
        entry["spec"]["payloadHash"]["value"] = "0" * 64
    else:
        entry["spec"]["hashedRekordV002"]["data"]["digest"] = text64(bytes(32))
    return entry


def other_signature(entry: Document) -> Document:
    if entry["kind"] == "dsse":
        entry["spec"]["signatures"][0]["signature"] = flip64(entry["spec"]["signatures"][0]["signature"])
    else:
        signature = entry["spec"]["hashedRekordV002"]["signature"]
        signature["content"] = flip64(signature["content"])
    return entry


def other_verifier(entry: Document) -> Document:
    if entry["kind"] == "dsse":
        entry["spec"]["signatures"][0]["verifier"] = flip64(entry["spec"]["signatures"][0]["verifier"], 80)
    else:
        certificate = entry["spec"]["hashedRekordV002"]["signature"]["verifier"]["x509Certificate"]
        certificate["rawBytes"] = flip64(certificate["rawBytes"])
    return entry


def without_promise(bundle: Document, instance: LoopbackSigstore) -> None:
    del entry_of(bundle)["inclusionPromise"], entry_of(bundle)["integratedTime"]


def without_stamps(bundle: Document, instance: LoopbackSigstore) -> None:
    del bundle["verificationMaterial"]["timestampVerificationData"]


def stamps_of(bundle: Document) -> list[Document]:
    stamps: list[Document] = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    return stamps


def spliced(key: str) -> Callable[[Document, LoopbackSigstore], object]:
    def apply(bundle: Document, instance: LoopbackSigstore) -> None:
        bundle["verificationMaterial"][key] = other(bundle, instance)["verificationMaterial"][key]

    return apply


def proof(change: Callable[[Document], object]) -> Callable[[Document, LoopbackSigstore], object]:
    return lambda bundle, instance: change(entry_of(bundle)["inclusionProof"])


def set_checkpoint(change: Callable[[str], str]) -> Callable[[Document, LoopbackSigstore], object]:
    def apply(bundle: Document, instance: LoopbackSigstore) -> None:
        checkpoint = entry_of(bundle)["inclusionProof"]["checkpoint"]
        checkpoint["envelope"] = change(checkpoint["envelope"])

    return apply


def as_message_signature(bundle: Document, instance: LoopbackSigstore) -> None:
    """The shape of a bundle over bare bytes."""
    envelope = bundle.pop("dsseEnvelope")
    digest = {"algorithm": "SHA2_256", "digest": text64(bytes(32))}
    bundle["messageSignature"] = {"messageDigest": digest, "signature": envelope["signatures"][0]["sig"]}


def second_signature(bundle: Document, instance: LoopbackSigstore) -> None:
    signatures = bundle["dsseEnvelope"]["signatures"]
    signatures.append(dict(signatures[0]))


def edited_payload(bundle: Document, instance: LoopbackSigstore) -> None:
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    statement["predicate"]["notAfter"] = "2099-01-01T00:00:00Z"
    bundle["dsseEnvelope"]["payload"] = text64(json.dumps(statement).encode())


def emptied(name: str) -> Callable[[Document], object]:
    return lambda root: root.__setitem__(name, [])


def from_elsewhere(name: str) -> Callable[[Document], object]:
    """The root lists another instance's key: the one that signed is not, or no longer, trusted."""

    def apply(root: Document) -> None:
        with LoopbackSigstore() as elsewhere:
            root[name] = elsewhere.trusted_root()[name]

    return apply


def not_valid_yet(good: Leaf) -> Leaf:
    return replace(good, not_before=good.not_before + HOUR, not_after=good.not_after + HOUR)


def of_other_bytes(stamp: Stamp) -> Stamp:
    return replace(stamp, imprint=bytes(32))
