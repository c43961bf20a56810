"""Every error that a person can meet, and the exit code that it ends with.

    QauditError
    ├── InputError              something that was given is wrong              exit 2
    │   ├── MalformedFile       a file's bytes do not hold what they claim
    │   │   └── LimitExceeded   a length or count is over its cap
    │   ├── Incomparable        reference and candidate cannot be compared
    │   ├── OtherAudit          a journal is of another audit than the one to resume
    │   ├── PolicyError         a policy file names something unknown
    │   └── SuiteError          a suite does not load or is empty
    ├── EnvironmentProblem      this machine cannot do it                      exit 2
    │   ├── MissingExtra        an optional dependency is not installed
    │   ├── OutputProblem       an output cannot be written
    │   ├── HubUnreachable      a hub does not answer, and the cache does not have it
    │   └── EngineFailure       an engine crashed, hung or refused the file
    │       └── OutOfMemory     what was asked at once does not fit; less at once may
    └── GateFailure             a gate said no: the input is fine, the answer is not  exit 1
        └── VerificationFailed  a signature or a signed file does not verify

A *finding* about a checkpoint is a value (`qaudit.values.Finding`), not an error. Every message is
one line: what is wrong, where, and what to do next.
"""

from enum import IntEnum

MAX_MESSAGE = 2000  # characters


class ExitCode(IntEnum):
    """Exit codes shared by every command, the pytest plugin and the report (CONTRACT)."""

    PASS = 0
    GATE_FAILED = 1
    UNABLE = 2
    INCONCLUSIVE = 3


class QauditError(Exception):
    """Root of everything that qaudit raises on purpose; `str(error)` is one line for a person."""

    exit_code: ExitCode = ExitCode.UNABLE

    def __str__(self) -> str:
        # names and values from untrusted files end up here: no line breaks, no terminal escapes, no novels
        text = super().__str__()
        if len(text) > MAX_MESSAGE:
            text = f"{text[:MAX_MESSAGE]}…"
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() else _visible(c) for c in text)


def _visible(character: str) -> str:
    return " " if character.isspace() else character.encode("unicode_escape").decode("ascii")


class InputError(QauditError):
    """Something that was given is unusable."""


class MalformedFile(InputError):
    """A file is not what its format requires.

    Args:
        path: the file.
        problem: what is wrong, with the place (offset, line, key) where it is known.
        remedy: what to do next.
    """

    def __init__(self, path: object, problem: str, remedy: str = "download it again") -> None:
        super().__init__(f"{path}: {problem}; {remedy}")
        self.path = str(path)
        self.problem = problem


class LimitExceeded(MalformedFile):
    """A declared length or count is larger than qaudit is willing to read."""


class Incomparable(InputError):
    """Reference and candidate differ in something that makes a comparison meaningless."""


class OtherAudit(InputError):
    """A journal holds the answers of another audit: other files, suites, settings or qaudit."""


class PolicyError(InputError):
    """A policy file is malformed or names an unknown key, metric or operator."""


class SuiteError(InputError):
    """A suite is missing, empty or malformed."""


class EnvironmentProblem(QauditError):
    """The machine or the installation cannot do what was asked."""


class MissingExtra(EnvironmentProblem):
    """An optional dependency is missing; names the extra that brings it."""

    def __init__(self, need: str, extra: str) -> None:
        super().__init__(f"{need} is not installed; run: pip install 'qaudit[{extra}]'")
        self.extra = extra


class OutputProblem(EnvironmentProblem):
    """An output cannot be written."""


class HubUnreachable(EnvironmentProblem):
    """A hub cannot be asked: no network, or it is down."""


class EngineFailure(EnvironmentProblem):
    """An engine could not load or run a checkpoint."""


class OutOfMemory(EngineFailure):
    """Several prompts at once do not fit in memory; the person must choose fewer."""


class GateFailure(QauditError):
    """A gate was asked and its answer is no."""

    exit_code = ExitCode.GATE_FAILED


class VerificationFailed(GateFailure):
    """A signature does not verify, or a signed file is not the one on disk."""
