"""What a judge is, and where to get one by name."""

import difflib
from pathlib import Path
from typing import Protocol

from qaudit.errors import InputError
from qaudit.files import sha256_bytes, sha256_file
from qaudit.judges import acts, asking, coherence, languages, openings, reading, rules
from qaudit.values import Judgement, Label


class Judge(Protocol):
    """Turns a reply into a label. `sha256` covers everything that decides labels."""

    @property
    def name(self) -> str:
        """The name by which it is loaded."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def sha256(self) -> str:
        """Digest of the sources and weights that decide labels."""

    def judge(self, prompt: str, reply: str) -> Judgement:
        """Label one reply, with the reason."""

    def decided(self, prompt: str, reply_so_far: str, tokens: int) -> Label | None:
        """Return the label that further tokens would not change; None while that is open."""


JUDGES = ("rules",)


def load_judge(name: str = "rules") -> Judge:
    """Return a judge by name.

    Raises:
        InputError: there is no such judge.
    """
    if name not in JUDGES:
        near = difflib.get_close_matches(name, JUDGES, n=1, cutoff=0.0)
        known = ", ".join(JUDGES)
        raise InputError(f"--judge {name}: there is no such judge; the nearest is {near[0]} (known: {known})")
    return rules.RulesJudge(_digest())


def _digest() -> str:
    # file names and digests in a fixed order, so that the same sources give the same digest anywhere
    sources = sorted(
        Path(str(module.__file__))
        for module in (acts, asking, coherence, languages, openings, reading, rules)
    )
    return sha256_bytes("".join(f"{sha256_file(path)}  {path.name}\n" for path in sources).encode())
