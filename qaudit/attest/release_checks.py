"""What a consumer checks of an authentic audit: its time, its verdict, and what policies demand of it."""

from datetime import datetime
from pathlib import Path

from qaudit.attest.layout import Places, read_regular
from qaudit.attest.predicate import Predicate
from qaudit.attest.release_terms import CLOCK_SKEW, ReleaseTerms
from qaudit.attest.statement import parse_time
from qaudit.errors import InputError, VerificationFailed
from qaudit.files import sha256_bytes


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


def check_recipe(predicate: Predicate, where: Places, limit: int) -> Path | None:
    """Return the recipe's place if it is the signed one, None if there is none.

    Raises:
        VerificationFailed: it is another, is missing, or lies there unsigned.
    """
    recipe = predicate.quantization.recipe
    if recipe is not None:
        signed_companion(where.recipe, limit, recipe.digest.sha256, "recipe")
        return where.recipe
    if where.recipe.exists() or where.recipe.is_symlink():
        raise VerificationFailed(f"{where.recipe}: nobody signed this recipe; fetch the release again")
    return None


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
        if created > verified + CLOCK_SKEW:
            raise VerificationFailed(
                f"{where}: approves a report that was made after it ({predicate.report.created});"
                " do not trust it"
            )
    except (ValueError, TypeError) as error:  # TypeError: a time without its zone cannot be compared
        raise VerificationFailed(f"{where}: holds a date that does not exist; ask for a new one") from error
    if verified > now + CLOCK_SKEW:
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
    shown = proven.strftime("%Y-%m-%dT%H:%M:%SZ")
    if proven > now + CLOCK_SKEW:
        raise VerificationFailed(f"{where}: was logged in the future ({shown}); check the clock")
    if proven >= not_after:
        raise VerificationFailed(
            f"{where}: was signed at {shown}, after the approval had ended; ask the publisher for a new audit"
        )
    if verified > proven + CLOCK_SKEW:
        raise VerificationFailed(
            f"{where}: says that it was verified at {verified:%Y-%m-%dT%H:%M:%SZ}, but it was signed before,"
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
