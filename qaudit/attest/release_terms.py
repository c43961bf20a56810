"""What a policy demands of a release, besides its rules: suite versions, the report's age, the verdict.

The publisher's policy binds the signer and, as it is signed, whoever verifies; a consumer's own
policy binds the consumer. The rules decide the verdict in the audit and are not read here; an
unknown key is still refused, as a demand that is not understood would be one that is not kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from qaudit.attest.audit_facts import Line, Version
from qaudit.attest.document_parts import ClosedPart
from qaudit.errors import InputError
from qaudit.files import read_bounded, sha256_bytes
from qaudit.shipped import shipped_or_file
from qaudit.strict_json import first_problem
from qaudit.strict_yaml import load_strict_yaml
from qaudit.version_order import at_least, has_order

POLICY_LIMIT = 1 << 20
POLICY_DEPTH = 20
# signer's, verifier's and auditor's clocks may differ by this much
CLOCK_SKEW = timedelta(minutes=5)
Status = Literal["pass", "fail", "inconclusive"]


class _Requires(ClosedPart):
    suites: dict[Line, Annotated[int, Field(ge=0)] | Line] = Field(default={})
    recounted: bool = False
    # what must have been measured: the audit's business
    refusal_n: object = None
    at_risk_n: object = None
    category_n: object = None
    suite_n: object = None
    over_refusal_n: object = None
    first_token_n: object = None
    quality_n: object = None
    mde: object = None


class _PolicyFile(ClosedPart):
    name: Line
    version: Version
    requires: _Requires = _Requires()
    rules: list[object] = Field(default=[])
    max_report_age_days: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    verdicts: Annotated[list[Status], Field(min_length=1)] | None = None


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """A policy's demands on a release.

    Attributes:
        shown: the policy's file, for messages.
        sha256: digest of that file.
        name: the policy's own.
        version: the policy's own.
        suites: suites that must have been asked, with the least version of each.
        max_report_age: how old the audit report may be.
        verdicts: which verdicts may be released; None where the policy does not say.
        has_rules: whether the policy also judges audits.
        recounted: whether all figures that replies decide must have been counted again at signing.
        measured: keys of `requires` that say how much must have been measured for its rules to decide.
    """

    shown: str
    sha256: str
    name: str
    version: str
    suites: Mapping[str, str]
    max_report_age: timedelta | None
    verdicts: frozenset[Status] | None
    has_rules: bool
    recounted: bool = False
    measured: tuple[str, ...] = ()

    @property
    def asks_something(self) -> bool:
        """Whether there is anything that a release could fall short of."""
        demands = (self.suites, self.max_report_age, self.verdicts)
        return (
            self.has_rules or self.recounted or any(demand is not None and demand != {} for demand in demands)
        )

    def problems(
        self, *, suites: Mapping[str, str], status: Status, created: datetime, at: datetime
    ) -> Iterator[str]:
        """Say what of a release falls short of the demands, one clause each.

        Args:
            suites: the suites that were asked, name to version.
            status: the verdict.
            created: when the report was made.
            at: the time that its age is taken at.
        """
        for name, least in sorted(self.suites.items()):
            found = suites.get(name)
            if found is None:
                yield f"the suite {name} was not asked, and version {least} or newer is required"
            elif not at_least(found, least):
                yield f"the suite {name} is version {found}, and {least} or newer is required"
        if self.max_report_age is not None and at - created > self.max_report_age:
            yield (
                f"the report is {(at - created).days} days old ({created:%Y-%m-%d}), and"
                f" {self.max_report_age.days} are allowed"
            )
        if self.verdicts is not None and status not in self.verdicts:
            yield f"the verdict is {status}, and {' or '.join(sorted(self.verdicts))} is required"


def read_policy(policy: Path | str) -> bytes:
    """Return the bytes of a policy given as a file or as the name of a shipped one.

    Raises:
        InputError: there is no such file or shipped policy.
    """
    file = shipped_or_file("policies", str(policy))
    if file is None:
        raise InputError(f"{policy}: neither a policy file nor the name of a shipped policy")
    return read_bounded(file, POLICY_LIMIT)


def read_terms(data: bytes, shown: object) -> ReleaseTerms:
    """Read the demands from the bytes of a policy file.

    Args:
        data: the file's bytes.
        shown: its name, for messages.

    Raises:
        InputError: it is not a policy, or a suite's least version has no order.
    """
    try:
        file = _PolicyFile.model_validate(load_strict_yaml(data, POLICY_DEPTH))
        least = {name: str(version) for name, version in file.requires.suites.items()}
        for name, version in least.items():
            if not has_order(version):
                raise ValueError(f"requires.suites.{name}: {version!a} is no version like 2 or 1.4")
        if file.verdicts is not None and "pass" not in file.verdicts:
            raise ValueError("verdicts: must hold pass")
    except ValidationError as error:
        raise InputError(
            f"{shown}: not a policy ({first_problem(error)}); compare policies/default.yaml"
        ) from error
    except ValueError as error:
        raise InputError(f"{shown}: not a policy ({error}); compare policies/default.yaml") from error
    return ReleaseTerms(
        shown=str(shown),
        sha256=sha256_bytes(data),
        name=file.name,
        version=file.version,
        suites=least,
        max_report_age=None if file.max_report_age_days is None else timedelta(days=file.max_report_age_days),
        verdicts=None if file.verdicts is None else frozenset(file.verdicts),
        has_rules=bool(file.rules),
        recounted=file.requires.recounted,
        measured=tuple(sorted(file.requires.model_fields_set - {"suites", "recounted"})),
    )
