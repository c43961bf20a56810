"""How the loopback services misbehave; all is well as long as nothing is set."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from loopback_sigstore.certificates import Leaf


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stamp:
    """What a timestamp is going to say: the digest that was sent, and when."""

    imprint: bytes
    time: datetime


@dataclass
class Faults:
    """Knobs; each is read when a request comes in.

    Attributes:
        answers: path to what is sent there instead (500, garbage, a redirect).
        hangs: paths that get no answer until the server stops.
        leaf: changes a certificate before it is signed.
        scts: how many SCTs a certificate gets.
        sct_key: another key that signs them.
        sct_over: changes the precertificate bytes that they are signed over.
        entry: changes the canonical entry before it enters the log.
        other_tree: whether proofs and checkpoints are those of another tree, with a good signature.
        log_key: another key that signs promises and checkpoints.
        log_reply: changes what the log answers.
        stamp: changes a timestamp before it is signed.
        stamp_key: another key that signs it.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    hangs: set[str] = field(default_factory=set)
    leaf: Callable[[Leaf], Leaf] | None = None
    scts: int = 1
    sct_key: ec.EllipticCurvePrivateKey | None = None
    sct_over: Callable[[bytes], bytes] | None = None
    entry: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    other_tree: bool = False
    log_key: ec.EllipticCurvePrivateKey | None = None
    log_reply: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    stamp: Callable[[Stamp], Stamp] | None = None
    stamp_key: ec.EllipticCurvePrivateKey | None = None

    def clear(self) -> None:
        """Behave again."""
        for name, value in vars(Faults()).items():
            setattr(self, name, value)

    def redirect(self, path: str, target: str, status: int = 307) -> None:
        """Send whoever asks for `path` to `target`."""
        self.answers[path] = Answer(status, b"", headers={"Location": target})


def aged(by: timedelta) -> Callable[[Leaf], Leaf]:
    """Return a fault that moves a certificate's validity back in time."""
    return lambda leaf: replace(leaf, not_before=leaf.not_before - by, not_after=leaf.not_after - by)


def stamped_earlier(by: timedelta) -> Callable[[Stamp], Stamp]:
    """Return a fault that moves a timestamp back in time."""
    return lambda stamp: replace(stamp, time=stamp.time - by)
