"""Sign a checkpoint with its audit: the publisher's gate.

Nothing is signed unless report, policy and checkpoint belong together byte for byte and the
verdict is pass (or the signer accepts the risk by name).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from qaudit.attest.audit_facts import read_audit_facts
from qaudit.attest.dsse import Sealer, parse_bundle
from qaudit.attest.layout import REPORT_LIMIT, Places, places, refuse_inside, usable_path, write_all
from qaudit.attest.local_key import PasswordSource, load_signer, password_from_environment
from qaudit.attest.manifest import hash_files, list_files
from qaudit.attest.oms_signing import oms_beside
from qaudit.attest.overwriting import (
    Earlier,
    refuse_left_over,
    refuse_other_files,
    refuse_other_suffix,
    stale_oms,
)
from qaudit.attest.quantization import Making, gather
from qaudit.attest.release_terms import read_terms
from qaudit.attest.signing_gate import (
    accepted_risk,
    end_of_approval,
    policy_in_force,
    refuse_against_terms,
    refuse_other_bytes,
    refuse_uncounted,
)
from qaudit.attest.statement import build_statement, parse_statement, recount_of, statement_digest
from qaudit.attest.summaries import SummaryKind, build_summary, place_of, refuse_summary, resource_of
from qaudit.errors import InputError, MalformedFile
from qaudit.files import long_names_refused, read_bounded, sha256_bytes
from qaudit.strict_json import first_problem
from qaudit.values import FileDigest

DEFAULT_VALID_DAYS = 365
MAX_VALID_DAYS = 3650
UNASKED = "nobody asked for the report to be checked against itself; qaudit.sign does"

# refuses a changed report, given its bytes, those of the policy and the report's place; returns why not all
# of its figures were counted again, None where they were
Recheck = Callable[[bytes, bytes, Path], str | None]


@dataclass(frozen=True, slots=True)
class Signed:
    """What `sign` wrote; `why_not_recounted` says why the report's figures were not counted again before.

    It is None where all that replies decide was.
    """

    places: Places
    files: tuple[FileDigest, ...]
    decision: str
    statement_sha256: str
    not_after: str
    also: tuple[SummaryKind, ...] = ()
    recipe: Path | None = None
    oms: Path | None = None
    why_no_oms: str | None = None
    why_not_recounted: str | None = None

    @property
    def recounted(self) -> bool:
        """Whether all of the report's figures that replies decide were counted again."""
        return self.why_not_recounted is None


@long_names_refused()
def sign(
    path: Path | str,
    *,
    report: Path | str,
    key: Path | str | None = None,
    signer: Sealer | None = None,
    policy: Path | str | None = None,
    out: Path | str | None = None,
    accept_risk: str | None = None,
    valid_days: int = DEFAULT_VALID_DAYS,
    password: PasswordSource | None = None,
    now: datetime | None = None,
    on_file: Callable[[FileDigest], None] | None = None,
    on_read: Callable[[int], None] | None = None,
    making: Making | None = None,
    also: Collection[SummaryKind] = (),
    resource_uri: str | None = None,
    recheck: Recheck | None = None,
    oms: bool = True,
) -> Signed:
    """Sign a checkpoint with its audit report and policy.

    Args:
        path: the checkpoint, a file or a folder.
        report: the `report.json` of its audit.
        key: private key in PEM, P-256 or Ed25519; give this or `signer`.
        signer: another way of signing, such as `KeylessSealer`.
        policy: the policy in force, a file or the name of a shipped one; by default the shipped
            policy that the report names.
        out: the bundle's place; report and policy go beside it.
        accept_risk: the reason to sign although the verdict is not pass; it is signed too.
        valid_days: how long the approval lasts.
        password: asked when the key is encrypted; by default QAUDIT_KEY_PASSWORD.
        now: the time of signing (UTC), for tests and reproducible releases.
        on_file: called after each hashed file.
        on_read: called while files are hashed with how many more bytes were, from several threads.
        making: how the checkpoint was quantized; the `realign.json` beside it is found without.
        also: summaries of the audit to sign too, for tools that do not know qaudit's statement.
        resource_uri: where consumers fetch the release, for the verification summary.
        recheck: refuses a report that was changed after the audit, given its bytes, those of the policy
            and the report's place, and returns why it did not count all of it again. `qaudit.sign` is
            this function with the one of `qaudit.auditing.rechecking`, as `qaudit sign` has it.
        oms: also write an OMS signature, for tools that know no other; where the signer or the files
            do not allow one, `Signed.why_no_oms` says why.

    Raises:
        GateFailure: the verdict is not pass, or report, policy and files do not belong together.
        InputError: something given is unusable.
        OutputProblem: the result cannot be written; nothing is left behind.
    """
    return seal_release(
        usable_path(path),
        _one_signer(key, signer, password),
        report=Path(report),
        policy=policy,
        out=None if out is None else usable_path(out),
        accept_risk=accept_risk,
        valid_days=valid_days,
        now=now,
        on_file=on_file,
        on_read=on_read,
        making=making,
        also=also,
        resource_uri=resource_uri,
        recheck=recheck,
        oms=oms,
    )


def seal_release(
    path: Path,
    signer: Sealer,
    *,
    report: Path,
    policy: Path | str | None,
    out: Path | None,
    accept_risk: str | None,
    valid_days: int,
    now: datetime | None,
    on_file: Callable[[FileDigest], None] | None,
    on_read: Callable[[int], None] | None = None,
    making: Making | None = None,
    also: Collection[SummaryKind] = (),
    resource_uri: str | None = None,
    recheck: Recheck | None = None,
    oms: bool = True,
) -> Signed:
    """Run the signing gate and seal with any mode; `sign` says what the arguments are."""
    if not 1 <= valid_days <= MAX_VALID_DAYS:
        raise InputError(f"valid days {valid_days}: give 1 to {MAX_VALID_DAYS}")
    if resource_uri is not None and "vsa" not in also:
        raise InputError("--resource-uri names the release in a verification summary; add --also vsa")
    refuse_other_suffix(out)
    verified = (now or datetime.now(UTC)).astimezone(UTC)
    report_bytes = read_bounded(report, REPORT_LIMIT)
    facts = read_audit_facts(report_bytes, report)
    policy_bytes, policy_name = policy_in_force(policy, facts, report)
    terms = read_terms(policy_bytes, policy_name)
    risk = accepted_risk(facts, accept_risk, report)
    refuse_against_terms(terms, facts, report, verified)
    why_not_recounted = UNASKED if recheck is None else recheck(report_bytes, policy_bytes, report)
    refuse_uncounted(terms, why_not_recounted, report)
    where = places(path, out)
    entries = list_files(path)
    refuse_inside(path, where.bundle)
    earlier = Earlier(where)
    known = {where.report: report_bytes, where.policy: policy_bytes}
    refuse_other_files(where, earlier, known)
    refuse_left_over(path, where)
    files = hash_files(entries, on_file, on_read)
    refuse_other_bytes(path, files, facts, report)
    quantization, recipe = gather(making or Making(), path, files, facts.checkpoint.quantization)
    not_after = end_of_approval(terms, facts, verified, timedelta(days=valid_days))
    build = partial(
        build_statement,
        facts,
        files,
        report_sha256=sha256_bytes(report_bytes),
        quantization=quantization,
        accepted_risk=risk,
        verified=verified,
        not_after=not_after,
    )
    try:
        build = partial(build, recount=recount_of(facts, why_not_recounted))
        payload = build()
    except ValueError as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise MalformedFile(report, f"cannot be signed: {problem}", "audit again") from error
    # what a consumer's parser would refuse must never leave the house
    statement = parse_statement(payload, where.bundle)
    resource = resource_of(path.absolute().name, statement, resource_uri)
    refuse_summary(also, statement)
    beside = oms_beside(path, files, signer, where, earlier, wanted=oms)
    if beside.data is not None:
        payload = build(oms_sha256=sha256_bytes(beside.data))
        statement = parse_statement(payload, where.bundle)
    bundle = _sealed(signer, payload, where.bundle)
    contents = {where.bundle: bundle, **known}
    if recipe is not None:
        contents[where.recipe] = recipe
    for kind in dict.fromkeys(also):
        summary = build_summary(kind, statement, sha256_bytes(bundle), resource)
        place = place_of(kind, where)
        contents[place] = _sealed(signer, summary, place)
    if beside.data is not None:
        contents[beside.place] = beside.data
    write_all(where, contents, stale_oms(beside.place, earlier, contents))
    return Signed(
        places=where,
        files=files,
        decision="approved" if risk is None else "conditional",
        statement_sha256=statement_digest(payload),
        not_after=statement.predicate.notAfter,
        also=tuple(dict.fromkeys(also)),
        recipe=where.recipe if recipe is not None else None,
        oms=beside.place if beside.data is not None else None,
        why_no_oms=beside.why_not,
        why_not_recounted=why_not_recounted,
    )


def _sealed(signer: Sealer, statement: bytes, place: Path) -> bytes:
    bundle = signer.seal(statement)
    parse_bundle(bundle, place)
    return bundle


def _one_signer(key: Path | str | None, signer: Sealer | None, password: PasswordSource | None) -> Sealer:
    if key is not None and signer is None:
        return load_signer(Path(key), password or _environment_password)
    if signer is not None and key is None:
        return signer
    raise InputError("sign with exactly one of a key, a certificate and an identity token")


def _environment_password() -> str:
    password = password_from_environment()
    if password is None:
        raise InputError("the key is encrypted; set QAUDIT_KEY_PASSWORD or run in a terminal")
    return password
