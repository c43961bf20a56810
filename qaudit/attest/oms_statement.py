"""The statement of an OpenSSF Model Signing (OMS) signature: made as the library does, parsed strictly.

https://github.com/ossf/model-signing-spec: an in-toto Statement v1 with one subject (the model's
name, the SHA-256 over the digests of all resources in their order) and a predicate that lists the
resources. Nothing here decides whether a signature is good.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

import rfc8785
from pydantic import Field, StringConstraints

from qaudit.attest.audit_facts import LINE_LIMIT, Line, is_line
from qaudit.attest.document_parts import ClosedPart, Digest
from qaudit.attest.manifest import OMS_SIGNATURE, SIDECAR_FOLDER
from qaudit.errors import InputError, VerificationFailed
from qaudit.files import sha256_bytes
from qaudit.strict_json import parse_as
from qaudit.values import FileDigest

OMS_PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
# of model_signing 0.2; its signatures are over other bytes than DSSE says, so they never verify here
OLD_OMS_PREDICATE_TYPE: Final = "https://model_signing/Digests/v0.1"
# the specification has verifiers skip these, and the published command refuses signatures that name them
GIT_NAMES: Final = (".git", ".gitattributes", ".github", ".gitignore")
SINGLE_FILE = "."
_RESOURCE_LIMIT = 1_000_000


class Serialization(ClosedPart):
    """How the signer turned the model into resources."""

    method: Literal["files", "shards"]
    hash_type: Literal["sha256", "blake2b", "blake3"]
    allow_symlinks: bool
    ignore_paths: tuple[Line, ...] = ()
    shard_size: float | None = None


class Resource(ClosedPart):
    """A file, or in shard mode a part of one (`name:start:end`)."""

    name: Line
    algorithm: Line
    digest: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$", max_length=128)]


class OmsPredicate(ClosedPart):
    """What the signer lists."""

    serialization: Serialization
    resources: tuple[Resource, ...] = Field(min_length=1, max_length=_RESOURCE_LIMIT)


class OmsSubject(ClosedPart):
    """The model as a whole."""

    name: Line
    digest: Digest


class OmsStatement(ClosedPart):
    """An in-toto Statement v1 with the OMS predicate."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[OmsSubject, ...] = Field(min_length=1, max_length=1)
    predicateType: Literal["https://model_signing/signature/v1.0"]
    predicate: OmsPredicate


def parse_oms_statement(payload: bytes, where: object) -> OmsStatement:
    """Parse an authenticated payload.

    Raises:
        VerificationFailed: a wrong or unknown key, or a subject that is not the resources' digest.
    """
    try:
        statement = parse_as(OmsStatement, payload)
    except ValueError as error:
        raise VerificationFailed(f"{where}: not a valid OMS statement ({error})") from error
    if statement.subject[0].digest.sha256 != _root_digest(statement.predicate.resources):
        raise VerificationFailed(
            f"{where}: not a valid OMS statement (its subject is not the digest of its resources)"
        )
    return statement


def build_oms_statement(name: str, files: Sequence[FileDigest], *, single: bool) -> bytes:
    """Return the RFC 8785 bytes of the statement over a checkpoint's files.

    Git's own files at the root are left out and said to be, as the specification wants it.

    Args:
        name: the model's name: of the folder or the file.
        files: every file of the checkpoint.
        single: the checkpoint is one file, which the library calls ".".

    Raises:
        InputError: the name cannot be written into a statement.
        ValueError: nothing is left to sign.
    """
    _refuse_odd_name(name)
    ignored = [SIDECAR_FOLDER, OMS_SIGNATURE]
    if not single:
        roots = {file.path.split("/", 1)[0] for file in files}
        ignored += [git for git in GIT_NAMES if git in roots]
    resources = tuple(
        Resource(name=SINGLE_FILE if single else file.path, algorithm="sha256", digest=file.sha256)
        for file in sorted(files, key=_path)
        if single or file.path.split("/", 1)[0] not in ignored
    )
    statement = OmsStatement(
        _type="https://in-toto.io/Statement/v1",
        subject=(OmsSubject(name=name, digest=Digest(sha256=_root_digest(resources))),),
        predicateType=OMS_PREDICATE_TYPE,
        predicate=OmsPredicate(
            serialization=Serialization(
                method="files",
                hash_type="sha256",
                allow_symlinks=False,
                # for a single file they skip nothing, but say as elsewhere that an audit went with it
                ignore_paths=tuple(sorted(ignored)),
            ),
            resources=resources,
        ),
    )
    return rfc8785.dumps(statement.model_dump(mode="json", by_alias=True, exclude_none=True))


def _refuse_odd_name(name: str) -> None:
    if not is_line(name):
        raise InputError(
            f"{name[:200]!a}: OMS signs no checkpoint whose name is not UTF-8, has control characters or more"
            f" than {LINE_LIMIT} characters; rename it, or sign with --no-oms"
        )


def _root_digest(resources: Iterable[Resource]) -> str:
    return sha256_bytes(b"".join(bytes.fromhex(resource.digest) for resource in resources))


def _path(file: FileDigest) -> str:
    return file.path
