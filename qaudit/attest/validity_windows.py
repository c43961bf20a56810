"""When the keys of a Sigstore instance counted: `validFor` of each authority and log in the root.

sigstore keeps accepting a key after the end that its trusted root gives it; whoever gets hold of a
retired key could sign with it. So a signature is verified with the root as it stood at the proven
time: what did not count then is not in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

from qaudit.attest.utc_times import utc_text

if TYPE_CHECKING:
    from sigstore_models.common.v1 import TimeRange
    from sigstore_models.trustroot.v1 import CertificateAuthority, TransparencyLogInstance, TrustedRoot

Kind = Literal["certificate authority", "certificate transparency log", "transparency log"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Closed:
    """An authority or log that did not count at a proven time."""

    name: str
    start: datetime | None
    end: datetime | None

    def __str__(self) -> str:
        begin = f"from {utc_text(self.start)} " if self.start else ""
        until = f"until {utc_text(self.end)}" if self.end else "on"
        return f"{self.name}: {begin}{until}"


def is_open(window: "TimeRange | None", moments: Iterable[datetime]) -> bool:
    """Return whether every moment lies in a window; both of its ends belong to it, None has none."""
    if window is None:
        return True
    return all(window.start <= at and (window.end is None or at <= window.end) for at in moments)


def root_at(
    root: "TrustedRoot", moments: Iterable[datetime], kinds: Iterable[Kind] = KINDS
) -> "tuple[TrustedRoot, tuple[Closed, ...]]":
    """Return the root without what did not count at every one of the moments, and what that is.

    Args:
        root: a trusted root.
        moments: the proven times of a signature, UTC.
        kinds: which kinds to look at; the others stay whole.
    """
    times, wanted = tuple(moments), frozenset(kinds)
    closed: list[Closed] = []

    def logs(found: "list[TransparencyLogInstance]") -> "list[TransparencyLogInstance]":
        kept = [log for log in found if is_open(log.public_key.valid_for, times)]
        closed.extend(_closed(log.base_url, log.public_key.valid_for) for log in found if log not in kept)
        return kept

    def authorities(found: "list[CertificateAuthority]") -> "list[CertificateAuthority]":
        kept = [authority for authority in found if is_open(authority.valid_for, times)]
        closed.extend(_closed(a.uri or a.subject.common_name, a.valid_for) for a in found if a not in kept)
        return kept

    update: dict[str, object] = {}
    if "certificate authority" in wanted:
        update["certificate_authorities"] = authorities(root.certificate_authorities)
    if "certificate transparency log" in wanted:
        update["ctlogs"] = logs(root.ctlogs)
    if "transparency log" in wanted:
        update["tlogs"] = logs(root.tlogs)
    return root.model_copy(update=update), tuple(closed)


def _closed(name: str, window: "TimeRange | None") -> Closed:
    return Closed(name, window.start if window else None, window.end if window else None)
