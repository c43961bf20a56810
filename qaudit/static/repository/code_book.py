"""The book of rules over code that comes with a model, and what they look at.

Its rules are in `code_rules` (what is called) and `source_rules` (what is written, and what is no Python).
"""

from dataclasses import dataclass, field
from typing import Final

from qaudit.static.repository.python_walk import PythonWalk
from qaudit.static.repository.shell_text import Command
from qaudit.static.rules import RuleBook

READ: Final = "read it before anything loads it; never load it with trust_remote_code=True otherwise"


@dataclass(slots=True)
class CodeFile:
    """One file of code, or one cell after another of a notebook.

    Attributes:
        python: None where it is no Python.
        loaded: whether a library imports or runs it when the model is loaded or used.
        commands: what of it a shell would run that nobody should.
        what: `python`, `script`, `native`, `notebook`.
        active: descriptions of active content in a notebook's outputs.
    """

    name: str
    what: str
    python: PythonWalk | None = None
    loaded: bool = False
    commands: list[Command] = field(default_factory=list)
    content: str = ""
    active: list[str] = field(default_factory=list)
    text: str = ""


BOOK: RuleBook[CodeFile] = RuleBook(
    "code", "code that comes with a model: Python, scripts, notebooks, programs"
)


def at(code: CodeFile, line: int) -> str:
    """Return the place of a finding."""
    return f"{code.name}:{line}"
