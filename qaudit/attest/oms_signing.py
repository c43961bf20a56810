"""The OpenSSF Model Signing (OMS) signature that goes with a release, for tools that know no other.

It says what the files are and nothing of the audit. The statement is written here from the digests
that the audit's own statement uses, so that nothing is hashed twice, and sealed by the release's own
mode; the published `model_signing verify` accepts it (tests/attest/test_oms_interop.py runs it).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qaudit.attest.dsse import Sealer, parse_bundle
from qaudit.attest.layout import BUNDLE_LIMIT, BUNDLE_SUFFIX, Places, places, read_regular
from qaudit.attest.local_key import KeySigner
from qaudit.attest.manifest import OMS_SIGNATURE
from qaudit.attest.oms_statement import build_oms_statement, parse_oms_statement
from qaudit.attest.overwriting import Earlier
from qaudit.errors import InputError, VerificationFailed
from qaudit.files import sha256_bytes
from qaudit.values import FileDigest


@dataclass(frozen=True, slots=True)
class OmsBeside:
    """The OMS signature that goes with a release: its place and bytes, or why there is none."""

    place: Path
    data: bytes | None
    why_not: str | None = None


def oms_beside(
    checkpoint: Path,
    files: Sequence[FileDigest],
    signer: Sealer,
    where: Places,
    earlier: Earlier,
    *,
    wanted: bool,
) -> OmsBeside:
    """Make the OMS signature of a release, where the signer wants one and there can be one.

    To be called after every refusal: a keyless signature is public as soon as it is made.

    Args:
        checkpoint: the folder or file.
        files: all its files, hashed.
        signer: the release's mode.
        where: where the release's files will lie.
        earlier: the signature that lies there now.
        wanted: False leaves it out.

    Raises:
        InputError: somebody else's lies in its place, or the mode cannot sign.
        QauditError: what the mode's own sealing raises.
    """
    place = oms_place(checkpoint, where.bundle)
    why_not = why_no_oms(signer, files, single=not checkpoint.is_dir()) if wanted else "left out as asked"
    # one that stays unsigned inside a folder would make consumers refuse the release
    if why_not is None or (checkpoint.is_dir() and place.name == OMS_SIGNATURE):
        refuse_overwriting(place, earlier)
    if why_not is not None:
        return OmsBeside(place, None, why_not)
    return OmsBeside(place, seal_oms(checkpoint, files, signer, place))


def oms_place(checkpoint: Path, bundle: Path) -> Path:
    """Return where the OMS signature of a release lies.

    Args:
        checkpoint: a folder or a file.
        bundle: where the audit's bundle lies: `model.sig` in the folder or `FILE.sig` beside the file
            go with the usual place, `X.sig` goes with `X.sigstore.json`.
    """
    if bundle.resolve() != places(checkpoint).bundle.resolve():
        return bundle.with_name(bundle.name.removesuffix(BUNDLE_SUFFIX) + ".sig")
    if checkpoint.is_dir():
        return checkpoint / OMS_SIGNATURE
    return checkpoint.with_name(checkpoint.name + ".sig")


def why_no_oms(signer: Sealer, files: Sequence[FileDigest], *, single: bool) -> str | None:
    """Return why there can be no OMS signature over these files by this signer, or None."""
    if isinstance(signer, KeySigner) and not signer.is_elliptic:
        return "OMS signatures are made with ECDSA keys, not with Ed25519"
    if single and len(files) != 1:
        return "OMS signs a folder or one file, not the parts of a split file; put them in a folder"
    return None


def seal_oms(checkpoint: Path, files: Sequence[FileDigest], signer: Sealer, place: Path) -> bytes:
    """Return the bytes of the OMS signature over a checkpoint.

    Args:
        checkpoint: the folder or file.
        files: all its files, hashed.
        signer: the release's mode.
        place: where it will lie, for messages.

    Raises:
        InputError: there is no file but Git's own, or the mode cannot sign.
        QauditError: what the mode's own sealing raises.
    """
    try:
        statement = build_oms_statement(checkpoint.absolute().name, files, single=not checkpoint.is_dir())
    except ValueError as error:
        raise InputError(f"{checkpoint}: holds nothing that OMS signs; sign with --no-oms") from error
    sealed = signer.seal(statement)
    # what our own gate would refuse must never leave the house
    parse_oms_statement(parse_bundle(sealed, place).payload, place)
    return sealed


def refuse_overwriting(place: Path, earlier: Earlier) -> None:
    """Refuse to overwrite somebody else's OMS signature; our own earlier one may go.

    Args:
        place: where the OMS signature will lie.
        earlier: the signature that lies in the new one's place, which says what was ours.

    Raises:
        InputError: what lies there did not come with the earlier audit.
    """
    if not os.path.lexists(place):
        return
    if not earlier.wrote(place):
        raise InputError(f"{place}: a signature that qaudit did not make with this release; move it away")


def refuse_other_oms(place: Path, sha256: str | None) -> None:
    """Refuse an OMS signature in the release's place that is not the release's.

    Args:
        place: where it lies, if it is there at all: a release without it is still whole.
        sha256: its digest as the audit's statement has it; None when it went without.

    Raises:
        VerificationFailed: it was changed or exchanged.
    """
    if sha256 is None or not os.path.lexists(place):
        return
    try:
        found = sha256_bytes(read_regular(place, BUNDLE_LIMIT))
    except InputError as error:
        raise VerificationFailed(f"{error}; it is not the OMS signature of this release") from error
    if found != sha256:
        raise VerificationFailed(
            f"{place}: not the OMS signature that came with the audit; fetch the release again"
        )
