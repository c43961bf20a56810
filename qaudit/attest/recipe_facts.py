"""What signing needs to know from `realign.json`, the recipe of a checkpoint that qaudit made.

Only what the statement carries is read (schema qaudit/realign/v1); fields added later are left
alone, duplicate keys and wrong types are not.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from qaudit.attest.audit_facts import Count, FileFact, Line, ToolFact, Version
from qaudit.attest.document_parts import Digest, OpenPart, Sha256
from qaudit.attest.manifest import split_anchor
from qaudit.attest.predicate import CalibrationRef, Recipe, Tool
from qaudit.errors import GateFailure, MalformedFile
from qaudit.files import sha256_bytes
from qaudit.strict_json import parse_as
from qaudit.values import FileDigest

RECORD = "realign.json"
WORK_SUFFIX = ".realign"


class MethodFact(OpenPart):
    """How it was realigned."""

    chosen: Line


class MadeOfFact(OpenPart):
    """A checkpoint that went into it."""

    sha256: Sha256


class CalibrationSetFact(OpenPart):
    """A prompt set that was calibrated on."""

    name: Line
    version: Version
    sha256: Sha256


class CalibrationFact(OpenPart):
    """All of them."""

    sets: tuple[CalibrationSetFact, ...]


class InputsFact(OpenPart):
    """What it was made from."""

    checkpoint: MadeOfFact
    reference: MadeOfFact
    parent: MadeOfFact | None = None
    calibration: CalibrationFact


class ResultFact(OpenPart):
    """The files of a result."""

    files: tuple[FileFact, ...] = Field(min_length=1)


class ArmFact(OpenPart):
    """One of the two results."""

    checkpoint: ResultFact


class ArmsFact(OpenPart):
    """The realigned checkpoint, and the plain quantization that it is compared with."""

    realigned: ArmFact
    plain: ArmFact | None = None


class RecipeFacts(OpenPart):
    """The fields of a recipe that a signature carries."""

    schema_: Literal["qaudit/realign/v1"] = Field(alias="schema")
    tool: ToolFact
    seed: Count
    target: Line
    method: MethodFact
    inputs: InputsFact
    arms: ArmsFact


def find_recipe(checkpoint: Path) -> Path | None:
    """Return the `realign.json` that lies beside a checkpoint, where `qaudit realign` wrote it."""
    anchor = split_anchor(checkpoint.absolute())
    record = anchor.with_name(anchor.name + WORK_SUFFIX) / RECORD
    return record if record.is_file() else None


def read_recipe(raw: bytes, files: Sequence[FileDigest], where: object) -> Recipe:
    """Return what the statement says of a recipe.

    Args:
        raw: the bytes of `realign.json`.
        files: those of the checkpoint that is signed.
        where: the recipe's name, for messages.

    Raises:
        MalformedFile: it is not a record of `qaudit realign`.
        GateFailure: what it made are other files.
    """
    try:
        facts = parse_as(RecipeFacts, raw)
    except ValueError as error:
        raise MalformedFile(
            where, f"not a record of qaudit realign ({error})", "give the realign.json of this checkpoint"
        ) from error
    inputs = facts.inputs
    return Recipe(
        digest=Digest(sha256=sha256_bytes(raw)),
        tool=Tool(name=facts.tool.name, version=facts.tool.version),
        method=facts.method.chosen,
        target=facts.target,
        seed=str(facts.seed),
        arm=_arm(facts.arms, files, where),
        checkpoint=Digest(sha256=inputs.checkpoint.sha256),
        reference=Digest(sha256=inputs.reference.sha256),
        parent=Digest(sha256=inputs.parent.sha256) if inputs.parent else None,
        calibration=tuple(
            CalibrationRef(name=s.name, version=s.version, digest=Digest(sha256=s.sha256))
            for s in inputs.calibration.sets
        ),
    )


def _arm(arms: ArmsFact, files: Sequence[FileDigest], where: object) -> Literal["plain", "realigned"]:
    if _same(arms.realigned, files):
        return "realigned"
    if arms.plain is not None and _same(arms.plain, files):
        return "plain"
    raise GateFailure(
        f"{where}: is the recipe of other bytes than the checkpoint's; name the right one with --recipe,"
        " or move it away"
    )


def _same(arm: ArmFact, files: Sequence[FileDigest]) -> bool:
    made = {file.path: file.sha256 for file in arm.checkpoint.files}
    found = {file.path: file.sha256 for file in files}
    # a single file may be renamed on its way to a release
    return made == found or (len(made) == len(found) == 1 and set(made.values()) == set(found.values()))
