"""What a consumer checks of an authentic audit: its time, its verdict, and what policies demand of it."""

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from qaudit.attest.layout import Places, places, read_regular, usable_path
from qaudit.attest.manifest import BUNDLE_NAME, OMS_SIGNATURE, SIDECAR_FOLDER
from qaudit.attest.oms_signing import refuse_other_oms
from qaudit.attest.predicate import Predicate
from qaudit.attest.recipe_facts import read_recipe
from qaudit.attest.release_terms import CLOCK_SKEW, ReleaseTerms
from qaudit.attest.statement import parse_time
from qaudit.attest.utc_times import utc_text
from qaudit.errors import InputError, QauditError, VerificationFailed
from qaudit.files import sha256_bytes
from qaudit.values import FileDigest


def signed_companion(path: Path, limit: int, sha256: str, what: str) -> bytes:
    """Return a file that travels with the bundle, if it is the signed one.

    Args:
        path: where it lies.
        limit: its largest size.
        sha256: the digest that was signed.
        what: it is, for messages.

    Raises:
        VerificationFailed: it is missing, no regular file, or another.
    """
    try:
        data = read_regular(path, limit)
    except InputError as error:
        raise VerificationFailed(f"{error}; the signed {what} must lie beside the bundle") from error
    if sha256_bytes(data) != sha256:
        raise VerificationFailed(f"{path}: not the {what} that was signed; fetch the release again")
    return data


def check_recipe(predicate: Predicate, where: Places, limit: int, files: Sequence[FileDigest]) -> Path | None:
    """Return the recipe's place if it is the signed one, None if there is none.

    Args:
        predicate: what was signed.
        where: the places of the release.
        limit: the recipe's largest size.
        files: the files of the checkpoint, as they were found.

    Raises:
        VerificationFailed: it is another, says something else than the signature or made other files,
            is missing, or lies there unsigned.
    """
    recipe = predicate.quantization.recipe
    if recipe is not None:
        data = signed_companion(where.recipe, limit, recipe.digest.sha256, "recipe")
        try:
            said = read_recipe(data, files, where.recipe)
        except QauditError as error:
            raise VerificationFailed(str(error)) from error
        if said != recipe or predicate.quantization.quantizer != recipe.tool:
            raise VerificationFailed(
                f"{where.recipe}: is not what the signature says of it; do not trust the release"
            )
        return where.recipe
    if where.recipe.exists() or where.recipe.is_symlink():
        raise VerificationFailed(f"{where.recipe}: nobody signed this recipe; fetch the release again")
    return None


def usual_place(checkpoint: Path, bundle: Path | str) -> Path:
    """Return the usual place of a checkpoint's bundle where that is what was named, else what was named.

    Raises:
        InputError: no file can have the name that was given.
    """
    bundle = usable_path(bundle)
    if not bundle.name:
        raise InputError(f"{bundle}: is a folder; name the signature's file")
    usual = places(checkpoint).bundle
    same = bundle.name == usual.name and bundle.parent.resolve() == usual.parent.resolve()
    return usual if same else bundle


def refuse_unchecked(
    checkpoint: Path, *checked: Path, bare: bool = False, ignored: Iterable[str] = ()
) -> None:
    """Refuse what lies where signatures may lie in a folder, if it is not of the verified signature.

    The listing leaves `.qaudit` and `model.sig` out, so that nothing else would look at them.

    Args:
        checkpoint: a folder; a file holds nothing.
        checked: the files that were verified or will be.
        bare: whether a bare OMS signature was verified, which lets the verifier leave files out.
        ignored: what the verifier leaves out.

    Raises:
        VerificationFailed: one of the two is there, and is nobody's.
    """
    if not checkpoint.is_dir():
        return
    left_out = {PurePosixPath(name) for name in ignored}
    known = {path.parent.resolve() / path.name for path in checked}
    for name in (SIDECAR_FOLDER, OMS_SIGNATURE):
        place = checkpoint.resolve() / name
        looked_at = place in known or place / BUNDLE_NAME in known
        if os.path.lexists(place) and not looked_at and PurePosixPath(name) not in left_out:
            raise VerificationFailed(
                f"{checkpoint / name}: is not of the signature that was verified; move it away"
                + (f", or leave it out with --ignore-paths {name}" if bare else "")
            )


def check_oms(place: Path, predicate: Predicate) -> None:
    """Check the OMS signature that lies with a release, if one does.

    Raises:
        VerificationFailed: it was changed or exchanged, or the audit came without one.
    """
    signature = predicate.modelSignature
    if signature is None and os.path.lexists(place):
        raise VerificationFailed(
            f"{place}: the audit came without an OMS signature, so nobody signed this one; move it away"
        )
    refuse_other_oms(place, None if signature is None else signature.digest.sha256)


def check_time(predicate: Predicate, proven: datetime | None, where: Path, now: datetime) -> None:
    """Check that now lies in the period of approval, and that the dates do not contradict one another.

    Args:
        predicate: what was signed.
        proven: the time that a log or timestamp authority proves; None for a plain key.
        where: the bundle's place, for messages.
        now: the time to verify at (UTC).

    Raises:
        VerificationFailed: it does not, or they do.
    """
    try:
        verified, not_after = parse_time(predicate.timeVerified), parse_time(predicate.notAfter)
        created = datetime.fromisoformat(predicate.report.created)
        # differences, as sums may pass the last year that there is
        if created - verified > CLOCK_SKEW:
            raise VerificationFailed(
                f"{where}: approves a report that was made after it ({predicate.report.created});"
                " do not trust it"
            )
    except (
        ValueError,
        TypeError,
        OverflowError,
    ) as error:  # TypeError: a time without its zone cannot be compared
        raise VerificationFailed(f"{where}: holds a date that does not exist; ask for a new one") from error
    if verified - now > CLOCK_SKEW:
        raise VerificationFailed(f"{where}: signed in the future ({predicate.timeVerified}); check the clock")
    if now >= not_after:
        raise VerificationFailed(
            f"{where}: the approval ended at {predicate.notAfter}; ask the publisher for a new audit"
        )
    if proven is not None:
        _check_proven_time(proven, verified, not_after, where, now)


def _check_proven_time(
    proven: datetime, verified: datetime, not_after: datetime, where: Path, now: datetime
) -> None:
    shown = utc_text(proven)
    if proven - now > CLOCK_SKEW:
        raise VerificationFailed(f"{where}: was logged in the future ({shown}); check the clock")
    if proven >= not_after:
        raise VerificationFailed(
            f"{where}: was signed at {shown}, after the approval had ended; ask the publisher for a new audit"
        )
    if verified - proven > CLOCK_SKEW:
        raise VerificationFailed(
            f"{where}: says that it was verified at {utc_text(verified)}, but it was signed before,"
            f" at {shown}; do not trust its period"
        )


def check_terms(terms: ReleaseTerms, predicate: Predicate, where: Path, now: datetime, *, whose: str) -> None:
    """Check a release against a policy's demands.

    Args:
        terms: the demands.
        predicate: what was signed; its dates have been checked.
        where: the bundle's place, for messages.
        now: the time that the report's age is taken at.
        whose: the policy is, for messages ("the signed policy").

    Raises:
        VerificationFailed: it falls short of one.
    """
    problems = list(
        terms.problems(
            suites={suite.name: suite.version for suite in predicate.suites},
            status=predicate.verdict.status,
            created=datetime.fromisoformat(predicate.report.created),
            at=now,
        )
    )
    if terms.recounted and not (predicate.recount and predicate.recount.complete):
        why = predicate.recount.why if predicate.recount else "nothing of it"
        problems.append(f"recounted figures are required, and the signature says {why}")
    if problems:
        raise VerificationFailed(
            f"{where}: falls short of {whose} {terms.name}: {'; '.join(problems)};"
            " ask the publisher for a new audit"
        )


def check_decision(predicate: Predicate, where: Path, *, accept_conditional: bool) -> None:
    """Check that the release is approved, or that conditional ones are accepted.

    Raises:
        VerificationFailed: it is conditional, and that was not asked for.
    """
    verdict = predicate.verdict
    if verdict.decision == "approved" or accept_conditional:
        return
    raise VerificationFailed(
        f"{where}: signed although the verdict is {verdict.status}"
        f" (accepted risk: {verdict.acceptedRisk}); to take it all the same, add --accept-conditional"
    )
