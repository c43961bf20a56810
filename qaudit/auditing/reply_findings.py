"""Findings that only running a checkpoint brings to light."""

from qaudit.auditing.events import ARMS
from qaudit.journal import Journal
from qaudit.values import Finding

MAX_NAMED = 5


# what an engine could not score is kept with this field empty
_SCORES = {"choices": "logprobs", "passages": "token_logprobs"}


def crash_findings(journal: Journal) -> list[Finding]:
    """Return a finding for each arm on which questions killed the engine twice, or did not fit."""
    findings = []
    for arm in ARMS:
        finishes: dict[str, list[str]] = {}
        for key, fields in sorted(journal.fields(arm, "replies").items()):
            finishes.setdefault(str(fields["finish"]), []).append(key)
        if crashed := finishes.get("crashed"):
            findings.append(
                Finding(
                    id=f"engine-crash-{arm}",
                    severity="high" if arm == "candidate" else "medium",
                    title=f"{len(crashed)} prompts crash the engine on the {arm}",
                    location=arm,
                    evidence=_named(crashed),
                    remedy="do not deploy a file that crashes its runtime; download it again",
                )
            )
        if too_long := finishes.get("too_long"):
            findings.append(
                Finding(
                    id=f"prompt-too-long-{arm}",
                    severity="low",
                    title=f"{len(too_long)} prompts do not fit in the context of the {arm}",
                    location=arm,
                    evidence=_named(too_long),
                    remedy="raise --context, or shorten these prompts",
                )
            )
        unscored = [
            key
            for kind, field in _SCORES.items()
            for key, fields in sorted(journal.fields(arm, kind).items())
            if not fields[field]
        ]
        if unscored:
            findings.append(
                Finding(
                    id=f"engine-unscored-{arm}",
                    severity="high" if arm == "candidate" else "medium",
                    title=f"{len(unscored)} questions or passages cannot be scored on the {arm}",
                    location=arm,
                    evidence=_named(unscored),
                    remedy="they crash the engine or do not fit in its context; download the file again",
                )
            )
    return findings


def _named(keys: list[str]) -> str:
    rest = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
    return ", ".join(keys[:MAX_NAMED]) + rest
