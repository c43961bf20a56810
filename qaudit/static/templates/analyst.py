"""The parent's side of the analyst process: starts it, asks, and outlives whatever a template does to it."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from qaudit.errors import EngineFailure
from qaudit.static.model_parts import TemplateText
from qaudit.static.templates.budgets import slowness
from qaudit.static.templates.facts import LONGEST, OUT_OF_MEMORY, Note, TemplateFacts

CPU_S = 4  # of the process for one template; the longest honest one takes a fifth, most a twentieth
OUT_OF_PROPORTION_S = 1.6  # of a standard machine; who ended the process after less may be honest
WALL_S = 40.0  # for one template, on a machine that has other things to do
EXIT_S = 10.0  # to end in, once it says no more
MOST_ANSWER_BYTES = 8 << 20
MOST_TEMPLATES = 64
MOST_CHARACTERS = 8 << 20  # of templates in one question, which is read before anything is answered
MOST_TOKEN_CHARACTERS = 4096
MOST_DEATHS = 6
# no site-packages of the user, no environment, no .pth files: it starts in a tenth of a second
BOOT = (
    "import gc, sys; gc.disable(); sys.path += {path!r};"
    "from qaudit.static.templates.lean_jinja import import_lean_jinja; import_lean_jinja();"
    "from qaudit.static.templates.analyst_main import main; main()"
)


class Analyst:
    """A process that waits for its one question.

    It takes longer to start than to answer, so it may be started before it is known what to ask it.
    """

    def __init__(self) -> None:
        """Start it.

        Raises:
            EngineFailure: no process can be started.
        """
        command = [sys.executable, "-I", "-S", "-c", BOOT.format(path=_import_path())]
        # so much for the most templates; the question lowers it to what its own may take
        command.append(str(CPU_S + MOST_TEMPLATES))
        try:
            self._child: subprocess.Popen[bytes] | None = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
                start_new_session=True,
            )
        except OSError as error:
            why = f"no process can be started to look at templates ({error.strerror})"
            raise EngineFailure(why) from error

    @property
    def waits(self) -> bool:
        """Whether nobody has asked it yet."""
        return self._child is not None

    def take(self) -> "subprocess.Popen[bytes] | None":
        """Return the process to whoever asks it first, and nothing to others."""
        child, self._child = self._child, None
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        child = self.take()
        if child is not None:  # nobody had a question
            child.kill()
            with suppress(BrokenPipeError), child:
                pass


@dataclass(slots=True)
class _Answer:
    """What a process said before it ended.

    Attributes:
        facts: of the first templates that it was asked about.
        reads: the number of the template that it was reading then; None where it had not begun.
        first: whether that was the first thing that it did.
        whole: whether it had all the processor time left that one template may take.
        code: what it ended with; None where we ended it.
        why: why we did.
    """

    facts: list[TemplateFacts] = field(default_factory=list)
    reads: int | None = None
    first: bool = True
    whole: bool = True
    code: int | None = None
    why: str = ""

    @property
    def certain(self) -> bool:
        """Whether it died of the template that it was reading, and of none before."""
        return self.whole if self.code == -signal.SIGXCPU else self.first


def analysed(
    templates: Sequence[TemplateText],
    special_tokens: Mapping[str, str],
    *,
    together: bool = False,
    waiting: Analyst | None = None,
) -> list[TemplateFacts]:
    """Return the facts of each template, in their order; one that kills the analyst has that as its fact.

    Args:
        templates: to look at.
        special_tokens: `bos_token` and the like, as templates know them.
        together: render each with the conversations that the conditions of any of them ask for.
        waiting: a process that was started ahead, to ask first.

    Raises:
        EngineFailure: no process can be started.
    """
    tokens = {name: text[:MOST_TOKEN_CHARACTERS] for name, text in special_tokens.items()}
    known = {
        number: TemplateFacts.too_long(len(template.text))
        for number, template in enumerate(templates)
        if len(template.text) > LONGEST
    }
    short = [number for number in range(len(templates)) if number not in known]
    known |= {
        n: TemplateFacts(f"not looked at: one of more than {MOST_TEMPLATES}") for n in short[MOST_TEMPLATES:]
    }
    # the next one last
    questions = list(reversed(_batches(templates, short[:MOST_TEMPLATES])))
    deaths = 0
    while questions:
        asked = questions.pop()
        if deaths == MOST_DEATHS:
            why = "not looked at: others ended the analyst again and again"
            known |= {number: TemplateFacts(why) for number in asked}
            continue
        early = waiting is not None and waiting.waits
        answer = _asked(waiting, [templates[number] for number in asked], tokens, together=together)
        known |= dict(zip(asked, answer.facts, strict=False))
        rest = asked[len(answer.facts) :]
        if not rest:
            continue
        deaths += 1
        if answer.reads is None and (early or len(asked) > 1):
            # whose fault it is shows when they are asked about one by one, of processes started for that
            questions += [[number] for number in reversed(rest)]
            continue
        blamed = rest[0] if answer.reads is None else asked[answer.reads]
        if others := [number for number in rest if number != blamed]:
            questions.append(others)
        if answer.certain or len(asked) == 1:
            known[blamed] = _ended(answer)
        else:
            questions.append([blamed])
    return [known[number] for number in range(len(templates))]


def _batches(templates: Sequence[TemplateText], numbers: Sequence[int]) -> list[list[int]]:
    """Return the templates that one process is asked about, which is to have memory left for each."""
    batches: list[list[int]] = []
    characters = MOST_CHARACTERS
    for number in numbers:
        characters += len(templates[number].text)
        if characters > MOST_CHARACTERS:
            batches.append([])
            characters = len(templates[number].text)
        batches[-1].append(number)
    return batches


def _ended(answer: _Answer) -> TemplateFacts:
    """Return what is known of a template that a process ended at, on its own account."""
    if answer.reads is None:
        return TemplateFacts("not looked at: the process that looks at templates ended before it read it")
    if answer.code is None:
        return TemplateFacts(f"not looked at: the process that reads it {answer.why}")
    facts = TemplateFacts("ended the process that looked at it")
    if answer.code == -signal.SIGXCPU:
        if CPU_S / (slower := slowness()) < OUT_OF_PROPORTION_S:
            why = f"took {CPU_S} s of processor time, on one that is {slower:.1f} times slower than most"
            return TemplateFacts(f"not looked at: {why}")
        facts.notes.append(
            Note("cost", 0, f"within {CPU_S} s of processor time it ended the analyst", grade=1)
        )
    elif answer.code == OUT_OF_MEMORY:
        facts.notes.append(Note("huge-output", 0, "takes more memory than the analyst has", grade=1))
    elif answer.code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS):
        facts.notes.append(Note("recursion", 0, "crashed the process that looked at it"))
    return facts


def _asked(
    waiting: Analyst | None,
    templates: Sequence[TemplateText],
    special_tokens: Mapping[str, str],
    *,
    together: bool,
) -> _Answer:
    """Ask about templates, until all are answered or the process is gone."""
    request = {
        "templates": [{"text": template.text, "dialect": template.dialect} for template in templates],
        "special_tokens": special_tokens,
        "together": together,
    }
    processor_s = CPU_S + len(templates)
    child = waiting.take() if waiting is not None else None
    child = child if child is not None else Analyst().take()
    answer = _Answer()
    if child is None:
        return answer
    with child:
        try:
            if child.stdin is None or child.stdout is None:
                return answer
            with suppress(BrokenPipeError):
                _tell(child.stdin.fileno(), f"{processor_s}\n{json.dumps(request)}\n".encode())
                child.stdin.close()
            for line in _lines(child.stdout.fileno()):
                told = json.loads(line)
                if "reads" in told:
                    answer.first = answer.reads is None
                    answer.reads = range(len(templates))[told["reads"]]
                    answer.whole = processor_s - told["used"] >= CPU_S
                    continue
                answer.facts.append(TemplateFacts.unpacked(told))
                if len(answer.facts) == len(templates):
                    return answer
            answer.code = child.wait(EXIT_S)
        except (TimeoutError, subprocess.TimeoutExpired):
            answer.why = f"gave no answer in {WALL_S:g} s"
        except (ValueError, TypeError, LookupError):
            answer.why = "gives no answer that makes sense"
        finally:
            child.kill()
    return answer


def _tell(descriptor: int, question: bytes) -> None:
    """Write a question, which may be longer than a pipe holds.

    Raises:
        BrokenPipeError: nobody reads it any more.
        TimeoutError: nobody has read it in time.
    """
    os.set_blocking(descriptor, False)
    deadline = time.monotonic() + WALL_S
    rest = memoryview(question)
    while rest:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([], [descriptor], [], left)[1]:
            raise TimeoutError
        rest = rest[os.write(descriptor, rest) :]


def _lines(descriptor: int) -> Iterator[bytes]:
    """Yield what a process says until it says no more.

    Raises:
        TimeoutError: it takes too long to say something.
        ValueError: it says too much.
    """
    heard = b""
    deadline = time.monotonic() + WALL_S
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise TimeoutError
        data = os.read(descriptor, 1 << 16)
        if not data:
            return
        *whole, heard = (heard + data).split(b"\n")
        if len(heard) > MOST_ANSWER_BYTES:
            raise ValueError("a line has no end")
        for line in whole:
            deadline = time.monotonic() + WALL_S
            yield line


def _import_path() -> list[str]:
    """Return the folders that qaudit, Jinja and MarkupSafe are in."""
    found = []
    for name in ("jinja2", "markupsafe", "qaudit"):
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise EngineFailure(f"{name} cannot be imported; install qaudit again")
        found.append(str(Path(spec.origin).resolve().parent.parent))
    return list(dict.fromkeys(found))
