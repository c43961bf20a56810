"""What signing needs to know from `report.json`, read strictly from its bytes.

Only the fields that the statement carries or the gate compares are read (CONTRACT, schema
qaudit/report/v1); fields added later are left alone, duplicate keys and wrong types are not.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from qaudit.attest.document_parts import OpenPart, Sha256
from qaudit.errors import MalformedFile
from qaudit.strict_json import parse_as

# text from a file that ends on a person's terminal: no control characters, not endless
LINE_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]*$"
LINE_LIMIT = 1000  # characters
Line = Annotated[str, StringConstraints(max_length=LINE_LIMIT, pattern=LINE_PATTERN)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Figure = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


def is_line(text: str) -> bool:
    """Whether a text would do as a `Line` in a document; a surrogate stands for a byte that was no text."""
    return (
        len(text) <= LINE_LIMIT
        and re.fullmatch(LINE_PATTERN, text) is not None
        and re.search("[\ud800-\udfff]", text) is None
    )


def _version_text(value: object) -> object:
    # a version written as a bare number in YAML arrives as one
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _utc_time(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() != datetime.now(UTC).utcoffset():
        raise ValueError("not a UTC time")
    return text


Version = Annotated[Line, BeforeValidator(_version_text)]
UtcTime = Annotated[Line, AfterValidator(_utc_time)]


class ToolFact(OpenPart):
    """The program that audited."""

    name: Line
    version: Version


class FileFact(OpenPart):
    """A file that the audit read."""

    path: str
    size: Count
    sha256: Sha256


class CheckpointFact(OpenPart):
    """A checkpoint as the audit saw it."""

    format: Line
    quantization: Line
    architecture: Line
    parameters: Count
    sha256: Sha256
    files: tuple[FileFact, ...] = Field(min_length=1)


class EngineFact(OpenPart):
    """The engine that answered."""

    name: Line
    version: Version
    device: Line
    build: Line


class SuiteFact(OpenPart):
    """A suite that was asked."""

    name: Line
    version: Version
    sha256: Sha256
    items: Count


class RuleFact(OpenPart):
    """One policy rule and what it said."""

    rule: Line
    status: Literal["pass", "fail", "inconclusive"]


class PolicyFact(OpenPart):
    """The policy that judged."""

    name: Line
    version: Version
    sha256: Sha256


class VerdictFact(OpenPart):
    """The answer."""

    status: Literal["pass", "fail", "inconclusive"]
    regime: Line | None = None
    rules: tuple[RuleFact, ...] = Field(min_length=1)
    policy: PolicyFact


class RateFact(OpenPart):
    """A proportion with its 95 % interval."""

    rate: Fraction
    n: Count
    ci95: tuple[Figure, Figure]


class PairedFact(OpenPart):
    """A rate on both arms over the same prompts."""

    reference: RateFact
    candidate: RateFact
    delta: Figure
    delta_ci95: tuple[Figure, Figure]


class FirstTokenFact(OpenPart):
    """How often the first reply token changed."""

    n: Count
    flip_rate: Fraction
    ci95: tuple[Figure, Figure]


class RtsiFact(OpenPart):
    """Refusal Template Stability Index."""

    score: Figure
    risk: Literal["LOW", "MODERATE", "HIGH"]


class MetricFacts(OpenPart):
    """The headline figures; what was not measured is None."""

    refusal: PairedFact | None = None
    over_refusal: PairedFact | None = None
    first_token: FirstTokenFact | None = None
    rtsi: RtsiFact | None = None
    # not headline figures; that they are there is told
    first_token_after_reasoning: object = None
    quality: object = None

    @property
    def without_replies(self) -> tuple[str, ...]:
        """The metrics that come from probabilities, so that no reply decides them."""
        names = ("first_token", "first_token_after_reasoning", "quality")
        return tuple(name for name in names if getattr(self, name) is not None)


class AuditFacts(OpenPart):
    """The fields of a report that a signature rests on."""

    schema_: Literal["qaudit/report/v1"] = Field(alias="schema")
    tool: ToolFact
    created: UtcTime
    checkpoint: CheckpointFact
    reference: CheckpointFact
    engine: EngineFact
    suites: tuple[SuiteFact, ...]
    verdict: VerdictFact
    metrics: MetricFacts

    @property
    def made_at(self) -> datetime:
        """When the audit ended."""
        return datetime.fromisoformat(self.created)


def read_audit_facts(raw: bytes, where: object) -> AuditFacts:
    """Read the facts from the bytes of a report.

    Raises:
        MalformedFile: not a strict qaudit/report/v1 document; the message names the key.
    """
    try:
        return parse_as(AuditFacts, raw)
    except ValueError as error:
        raise MalformedFile(
            where, f"not a qaudit/report/v1 report ({error})", "run the audit again"
        ) from error
