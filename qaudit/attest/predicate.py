"""The audit predicate: what a signature says about an audit, as strict pydantic models.

Keys are camelCase because in-toto predicates are. The published JSON Schema is
docs/schema/audit-predicate.v1.json; `predicate_schema` makes it and a test keeps it up to date.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from qaudit.attest.audit_facts import Count, Figure, Fraction, Line
from qaudit.attest.document_parts import ClosedPart, Digest
from qaudit.attest.manifest import FILE_LIMIT

Time = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
# numbers that may pass 2**53 are decimal strings: some JSON readers would round them
Decimal = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,18})$")]
Interval = tuple[Figure, Figure]


class Tool(ClosedPart):
    """A program by name and version."""

    name: Line
    version: Line


class Manifest(ClosedPart):
    """All files at once; the digest (see `manifest_digest`) binds names and sizes."""

    files: Annotated[int, Field(ge=1, le=FILE_LIMIT)]
    sizeBytes: Decimal
    digest: Digest


class Rate(ClosedPart):
    """A proportion over n prompts with its 95 % interval."""

    rate: Fraction
    n: Count
    ci95: Interval


class Paired(ClosedPart):
    """A rate on both arms; delta is candidate minus reference."""

    reference: Rate
    candidate: Rate
    delta: Figure
    deltaCi95: Interval


class FirstToken(ClosedPart):
    """Share of replies whose first token changed."""

    n: Count
    flipRate: Fraction
    ci95: Interval


class Rtsi(ClosedPart):
    """Refusal Template Stability Index with its tier."""

    score: Figure
    risk: Literal["LOW", "MODERATE", "HIGH"]


class Headline(ClosedPart):
    """The report's main figures; what was not measured is absent."""

    refusal: Paired | None = None
    overRefusal: Paired | None = None
    firstToken: FirstToken | None = None
    rtsi: Rtsi | None = None


class ReportRef(ClosedPart):
    """The audit report: digest of its exact bytes, when and by what it was made."""

    digest: Digest
    created: Line
    tool: Tool
    headline: Headline


class PolicyRef(ClosedPart):
    """The policy in force: digest of its file's exact bytes."""

    name: Line
    version: Line
    digest: Digest


class Artifact(ClosedPart):
    """What kind of checkpoint; `digest` is the report's checkpoint digest."""

    format: Line
    quantization: Line
    architecture: Line
    parameters: Decimal
    digest: Digest


class Claims(ClosedPart):
    """What the checkpoint's own header says of its making; nobody has checked it."""

    quantizer: Line | None = None
    imatrix: Line | None = None
    imatrixDataset: Line | None = None


class Imatrix(ClosedPart):
    """The importance matrix that weighed the rounding."""

    name: Line
    digest: Digest


class CalibrationRef(ClosedPart):
    """A prompt set that was calibrated on."""

    name: Line
    version: Line
    digest: Digest


class Recipe(ClosedPart):
    """The `realign.json` of a checkpoint that qaudit made: its digest, and what it says in short.

    `arm` is which of its two results was signed; checkpoint, reference and parent are those that it
    was made from.
    """

    digest: Digest
    tool: Tool
    method: Line
    target: Line
    seed: Decimal
    arm: Literal["plain", "realigned"]
    checkpoint: Digest
    reference: Digest
    parent: Digest | None = None
    calibration: tuple[CalibrationRef, ...]


class Quantization(ClosedPart):
    """How the checkpoint was quantized, as far as it is known; `type` is the report's."""

    type: Line
    quantizer: Tool | None = None
    imatrix: Imatrix | None = None
    recipe: Recipe | None = None
    claims: Claims | None = None


class SuiteRef(ClosedPart):
    """A prompt suite by digest, with the number of items asked."""

    name: Line
    version: Line
    digest: Digest
    items: Count


class Engine(ClosedPart):
    """The engine that answered."""

    name: Line
    version: Line
    device: Line
    build: Line


class RuleOutcome(ClosedPart):
    """One policy rule and what it said."""

    rule: Line
    status: Literal["pass", "fail", "inconclusive"]


class Verdict(ClosedPart):
    """The decision: approved by the audit, or conditional on a risk that the signer accepted."""

    decision: Literal["approved", "conditional"]
    status: Literal["pass", "fail", "inconclusive"]
    regime: Line | None = None
    rules: tuple[RuleOutcome, ...] = Field(min_length=1)
    acceptedRisk: Annotated[Line, StringConstraints(min_length=1)] | None = None

    @model_validator(mode="after")
    def _decision_follows(self) -> Self:
        approved = self.status == "pass" and self.acceptedRisk is None
        conditional = self.status != "pass" and self.acceptedRisk is not None
        if not (approved if self.decision == "approved" else conditional):
            raise ValueError("approved needs status pass; conditional needs another status and acceptedRisk")
        return self


class Recount(ClosedPart):
    """What of the report's figures was counted again from its replies before it was signed.

    `complete` is all that replies decide, and `why` says why not. `asTold` names the metrics of the report
    that no reply decides (they come from probabilities, which a report does not keep): nobody counts those
    again.
    """

    complete: bool
    why: Annotated[Line, StringConstraints(min_length=1)] | None = None
    asTold: tuple[Line, ...]

    @model_validator(mode="after")
    def _has_its_reason(self) -> Self:
        if self.complete is not (self.why is None):
            raise ValueError("a recount that is not complete needs why, and a complete one has none")
        return self


class ModelSignature(ClosedPart):
    """The OMS signature that goes with the release, by the digest of its exact bytes."""

    digest: Digest


class Predicate(ClosedPart):
    """Everything that a signature says, type https://qaudit.dev/attestation/audit/v1."""

    tool: Tool
    verdict: Verdict
    manifest: Manifest
    checkpoint: Artifact
    reference: Artifact
    quantization: Quantization
    report: ReportRef
    recount: Recount | None = None
    policy: PolicyRef
    suites: tuple[SuiteRef, ...]
    engine: Engine
    modelSignature: ModelSignature | None = None
    timeVerified: Time
    notAfter: Time


def predicate_schema() -> dict[str, Any]:
    """Return the JSON Schema that docs/schema/audit-predicate.v1.json holds."""
    schema = Predicate.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://qaudit.dev/schema/audit-predicate.v1.json",
        **schema,
        "title": "qaudit audit predicate v1",
    }
