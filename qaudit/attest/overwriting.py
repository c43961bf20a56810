"""What may be overwritten or removed when a release is signed again: what an earlier signature wrote.

The bundle that lies in the new one's place says which report, policy, recipe, OMS signature and summaries
were signed with it. Anything else in a place that signing writes to is somebody's own file, and signing
refuses before anything is sealed.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from qaudit.attest.document_parts import OpenPart
from qaudit.attest.dsse import parse_bundle
from qaudit.attest.layout import (
    BUNDLE_LIMIT,
    BUNDLE_SUFFIX,
    RECIPE_LIMIT,
    REPORT_LIMIT,
    Places,
    places,
    read_regular,
)
from qaudit.attest.manifest import OMS_SIGNATURE, SIDECAR_FOLDER
from qaudit.attest.statement import PREDICATE_TYPE
from qaudit.errors import InputError, VerificationFailed
from qaudit.files import sha256_bytes
from qaudit.strict_json import parse_as


class _Digest(OpenPart):
    sha256: str


class _Bound(OpenPart):
    digest: _Digest


class _Quantization(OpenPart):
    recipe: _Bound | None = None


class _Predicate(OpenPart):
    report: _Bound
    policy: _Bound
    quantization: _Quantization = _Quantization()
    modelSignature: _Bound | None = None


class _Subject(OpenPart):
    name: str
    digest: _Digest


class _Statement(OpenPart):
    """Of an earlier audit statement, only which files were signed with it."""

    subject: list[_Subject]
    predicateType: str
    predicate: _Predicate


class _Summary(OpenPart):
    subject: list[_Subject]
    predicateType: str


class Earlier:
    """The signature that lies in the place of a new one, if there is any."""

    def __init__(self, where: Places) -> None:
        self._where = where
        self._said = _read(where.bundle)

    def wrote(self, path: Path) -> bool:
        """Return whether a file came with the earlier signature, and is as it was then."""
        if self._said is None:
            return False
        if path == self._where.bundle:
            return True
        try:
            data = read_regular(path, max(REPORT_LIMIT, RECIPE_LIMIT, BUNDLE_LIMIT))
            if path in (self._where.vsa, self._where.test_result):
                return self._summarised(data, path)
        except (InputError, VerificationFailed, ValueError):
            return False
        return sha256_bytes(data) in self._digests

    @property
    def _digests(self) -> set[str]:
        if self._said is None:
            return set()
        signed = self._said.predicate
        parts = (signed.report, signed.policy, signed.quantization.recipe, signed.modelSignature)
        return {part.digest.sha256 for part in parts if part is not None}

    def _summarised(self, data: bytes, path: Path) -> bool:
        summary = parse_as(_Summary, parse_bundle(data, path).payload)
        return self._said is not None and summary.subject == self._said.subject


def refuse_other_files(where: Places, earlier: Earlier, contents: Mapping[Path, bytes | None]) -> None:
    """Refuse to overwrite or remove what no earlier signature wrote.

    Args:
        where: the places of the new signature.
        earlier: the one that lies there.
        contents: what is known of the new contents; a file that already holds them may stay.

    Raises:
        InputError: somebody's own file lies in one of the places.
    """
    for path in where.every:
        # what is a link or a folder is refused when it is written, and never overwritten
        if not os.path.lexists(path) or earlier.wrote(path) or _holds(path, contents.get(path)):
            continue
        raise InputError(
            f"{path}: lies where signing writes, and came with no earlier signature of this release; move it"
            " away, or choose another --out"
        )


def refuse_left_over(checkpoint: Path, where: Places) -> None:
    """Refuse to leave in a folder what consumers would refuse: traces of a signature that is not this one.

    Raises:
        InputError: the bundle goes elsewhere, and `.qaudit/` or `model.sig` lies in the folder.
    """
    if not checkpoint.is_dir() or where.bundle.resolve() == places(checkpoint).bundle.resolve():
        return
    for name in (SIDECAR_FOLDER, OMS_SIGNATURE):
        if os.path.lexists(checkpoint / name):
            raise InputError(
                f"{checkpoint / name}: is of another signature than the one that goes to {where.bundle}, so"
                " consumers would refuse the folder; move it away, or sign without --out"
            )


def refuse_other_suffix(out: Path | None) -> None:
    """Refuse a place for the bundle that is not named like one.

    Raises:
        InputError: the name does not end with `.sigstore.json`.
    """
    if out is not None and not out.name.endswith(BUNDLE_SUFFIX):
        raise InputError(f"--out {out}: must end with {BUNDLE_SUFFIX}; give {out.name}{BUNDLE_SUFFIX}")


def stale_oms(place: Path, earlier: Earlier, written: Collection[Path]) -> tuple[Path, ...]:
    """Return our own earlier OMS signature, where the new release goes without one."""
    return (place,) if place not in written and os.path.lexists(place) and earlier.wrote(place) else ()


def _holds(path: Path, data: bytes | None) -> bool:
    try:
        return data is not None and read_regular(path, len(data)) == data
    except InputError:
        return False


def _read(bundle: Path) -> _Statement | None:
    try:
        found = parse_bundle(read_regular(bundle, BUNDLE_LIMIT), bundle)
        said = parse_as(_Statement, found.payload)
    except (InputError, VerificationFailed, ValueError):
        return None
    return said if said.predicateType == PREDICATE_TYPE else None
