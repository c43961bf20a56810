"""What a keyless bundle holds beside its statement, parsed strictly: certificate, log entry, timestamps.

sigstore reads these fields leniently: base64 with odd bits, identifiers of logs that nobody knows,
checkpoints with lines that nobody signed. What is not authenticated would be free to change, so
every field here has one form, and the parts that sigstore does not compare are compared.
"""

import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509 import (
    DuplicateExtension,
    ExtensionNotFound,
    InvalidVersion,
    UnsupportedGeneralNameType,
)
from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
)

from qaudit.attest.canonical_base64 import decode_canonical
from qaudit.attest.document_parts import ClosedPart
from qaudit.attest.dsse import Bundle
from qaudit.errors import VerificationFailed
from qaudit.strict_json import first_problem

MAX_TIMESTAMPS = 8
MAX_PROOF = 64  # hashes: a tree of 2**64 leaves
MAX_NOTE = 64 << 10
# what parsers of certificates and timestamps raise at the ones that an attacker made
MALFORMED = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    OSError,
    struct.error,
    InvalidSignature,
    UnsupportedAlgorithm,
    DuplicateExtension,
    ExtensionNotFound,
    InvalidVersion,
    UnsupportedGeneralNameType,
)
# a signed note (https://c2sp.org/signed-note): text, an empty line, one line a signature
_SIGNATURE_LINE = re.compile(r"\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})")
_ORIGIN = re.compile(r"(\S+)( - [0-9]+)?")


def _canonical(text: str) -> str:
    decode_canonical(text)
    return text


Base64 = Annotated[str, AfterValidator(_canonical)]
Number = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,18})$")]


class _Certificate(ClosedPart):
    rawBytes: Base64


class _LogId(ClosedPart):
    keyId: Base64


class _KindVersion(ClosedPart):
    kind: Literal["dsse", "hashedrekord"]
    version: Literal["0.0.1", "0.0.2"]


class _Promise(ClosedPart):
    signedEntryTimestamp: Base64


class _Checkpoint(ClosedPart):
    envelope: Annotated[str, StringConstraints(max_length=MAX_NOTE)]


class _Proof(ClosedPart):
    logIndex: Number
    rootHash: Base64
    treeSize: Number
    hashes: list[Base64] = Field(default=[], max_length=MAX_PROOF)
    checkpoint: _Checkpoint


class _Entry(ClosedPart):
    logIndex: Number
    logId: _LogId
    kindVersion: _KindVersion
    integratedTime: Number | None = None
    inclusionPromise: _Promise | None = None
    inclusionProof: _Proof
    canonicalizedBody: Base64


class _Timestamp(ClosedPart):
    signedTimestamp: Base64


class _Timestamps(ClosedPart):
    rfc3161Timestamps: list[_Timestamp] = Field(default=[], max_length=MAX_TIMESTAMPS)


class _Material(ClosedPart):
    certificate: _Certificate
    tlogEntries: list[_Entry] = Field(min_length=1, max_length=1)
    timestampVerificationData: _Timestamps | None = None


@dataclass(frozen=True, slots=True)
class KeylessMaterial:
    """The parts of a keyless bundle that this room looks at itself; none is authenticated yet.

    `promised_at` is the time in a log's signed promise (Rekor v1), `timestamps` are RFC 3161 replies.
    """

    certificate: bytes
    log_id: bytes
    promised_at: datetime | None
    timestamps: tuple[bytes, ...]


def parse_material(bundle: Bundle, where: object) -> KeylessMaterial:
    """Parse a bundle's verification material as that of a keyless signature.

    Raises:
        VerificationFailed: another mode; no certificate, log entry, inclusion proof, checkpoint or
            proven time; a field that is unknown, repeated or not in its one form; or parts that
            contradict each other.
    """
    _refuse_other_modes(bundle.material, where)
    _name_what_is_missing(bundle.material, where)
    try:
        material = _Material.model_validate(bundle.material)
        _check_entry(material.tlogEntries[0])
    except ValidationError as error:
        raise _unusable(where, first_problem(error)) from error
    except ValueError as error:
        raise _unusable(where, str(error)) from error
    entry = material.tlogEntries[0]
    listed = material.timestampVerificationData
    timestamps = (
        tuple(decode_canonical(t.signedTimestamp) for t in listed.rfc3161Timestamps) if listed else ()
    )
    promised = int(entry.integratedTime) if entry.inclusionPromise and entry.integratedTime else None
    if promised is None and not timestamps:
        raise VerificationFailed(
            f"{where}: nothing proves when it was signed (no promise of the log, no timestamp);"
            " ask the publisher to sign again"
        )
    return KeylessMaterial(
        certificate=decode_canonical(material.certificate.rawBytes),
        log_id=decode_canonical(entry.logId.keyId),
        promised_at=None if promised is None else _moment(promised, where),
        timestamps=timestamps,
    )


def _refuse_other_modes(material: dict[str, JsonValue], where: object) -> None:
    for field, option in (("publicKey", "--key"), ("x509CertificateChain", "--certificate-root")):
        if field in material:
            raise VerificationFailed(
                f"{where}: was not signed with Sigstore; verify it with {option}, not with --identity"
            )


def _name_what_is_missing(material: dict[str, JsonValue], where: object) -> None:
    """Say in words what was stripped, where a schema would only name a field."""
    entries = material.get("tlogEntries")
    if not isinstance(entries, list) or not entries:
        raise VerificationFailed(
            f"{where}: holds no entry of a transparency log; the signature was never logged, or the entry"
            " was taken away"
        )
    if len(entries) > 1:
        raise VerificationFailed(f"{where}: holds {len(entries)} log entries; exactly one counts")
    entry = entries[0]
    proof = entry.get("inclusionProof") if isinstance(entry, dict) else None
    if not isinstance(proof, dict):
        raise VerificationFailed(
            f"{where}: the log entry comes without its inclusion proof, which was taken away or never made"
        )
    if not isinstance(proof.get("checkpoint"), dict):
        raise VerificationFailed(f"{where}: the inclusion proof comes without the log's signed checkpoint")


def _check_entry(entry: _Entry) -> None:
    """Compare what sigstore does not compare."""
    proof = entry.inclusionProof
    size, root = _read_checkpoint(proof.checkpoint.envelope)
    if size != proof.treeSize:
        raise ValueError("inclusionProof.treeSize: not the checkpoint's")
    if root != proof.rootHash:
        raise ValueError("inclusionProof.rootHash: not the checkpoint's")
    if entry.inclusionPromise is None:
        # only the promise signs these two
        if entry.integratedTime is not None:
            raise ValueError("integratedTime: without a promise that signs it")
        if entry.logIndex != proof.logIndex:
            raise ValueError("logIndex: not the inclusion proof's")
    elif entry.integratedTime is None:
        raise ValueError("inclusionPromise: without the time that it signs")


def _read_checkpoint(note: str) -> tuple[str, str]:
    """Return tree size and root hash of a checkpoint whose every line is understood."""
    text, _, signatures = note.partition("\n\n")
    lines = text.split("\n")
    if len(lines) < 3 or not signatures.endswith("\n"):
        raise ValueError("checkpoint: not a signed note")
    origin = _ORIGIN.fullmatch(lines[0])
    if origin is None:
        raise ValueError("checkpoint: its first line names no log")
    by_log = 0
    for line in signatures.removesuffix("\n").split("\n"):
        found = _SIGNATURE_LINE.fullmatch(line)
        if found is None:
            raise ValueError("checkpoint: a line that is not a signature")
        _canonical(found[2])
        by_log += found[1] == origin[1]
    if by_log != 1:
        raise ValueError("checkpoint: not signed once by the log that it names")
    return lines[1], lines[2]


def _moment(seconds: int, where: object) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _unusable(where, "integratedTime: not a time") from error


def _unusable(where: object, problem: str) -> VerificationFailed:
    return VerificationFailed(f"{where}: not a usable keyless signature ({problem}); fetch the release again")
