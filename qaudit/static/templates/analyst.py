"""The parent's side of the analyst process: starts it, asks, and outlives whatever a template does to it."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from qaudit.errors import EngineFailure
from qaudit.static.model_parts import TemplateText
from qaudit.static.templates.facts import Note, TemplateFacts

CPU_S = 4  # of the process for one template; the longest honest one takes a fifth, most a twentieth
WALL_S = 40.0  # for one template, on a machine that has other things to do
MOST_ANSWER_BYTES = 8 << 20
MOST_TEMPLATES = 64
MOST_DEATHS = 4
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
    facts: list[TemplateFacts] = []
    wanted = list(templates[:MOST_TEMPLATES])
    deaths = 0
    while len(facts) < len(wanted):
        rest = wanted[len(facts) :]
        if deaths == MOST_DEATHS:
            facts += [TemplateFacts("not looked at: others ended the analyst again and again") for _ in rest]
            break
        answers = list(_asked(waiting, rest, special_tokens, together=together))
        facts += answers
        if len(answers) < len(rest):
            deaths += 1
            gone = TemplateFacts("ended the process that looked at it")
            gone.notes.append(
                Note("cost", 0, f"within {CPU_S} s of processor time it ended the analyst", grade=1)
            )
            facts.append(gone)
    facts += [
        TemplateFacts(f"not looked at: one of more than {MOST_TEMPLATES}") for _ in templates[MOST_TEMPLATES:]
    ]
    return facts


def _asked(
    waiting: Analyst | None,
    templates: Sequence[TemplateText],
    special_tokens: Mapping[str, str],
    *,
    together: bool,
) -> Iterator[TemplateFacts]:
    """Yield facts until all are there or the process is gone."""
    request = {
        "templates": [{"text": template.text, "dialect": template.dialect} for template in templates],
        "special_tokens": dict(special_tokens),
        "together": together,
    }
    child = waiting.take() if waiting is not None else None
    child = child if child is not None else Analyst().take()
    if child is None:
        return
    with child:
        try:
            if child.stdin is None or child.stdout is None:
                return
            with suppress(BrokenPipeError):
                child.stdin.write(f"{CPU_S + len(templates)}\n{json.dumps(request)}\n".encode())
                child.stdin.close()
            for line in _lines(child.stdout.fileno(), len(templates)):
                yield TemplateFacts.unpacked(json.loads(line))
        except ValueError:
            return  # it says something else than facts: as good as dead
        finally:
            child.kill()


def _lines(descriptor: int, wanted: int) -> Iterator[bytes]:
    heard, found = b"", 0
    deadline = time.monotonic() + WALL_S
    while found < wanted:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return
        data = os.read(descriptor, 1 << 16)
        if not data or len(heard) > MOST_ANSWER_BYTES:
            return
        *whole, heard = (heard + data).split(b"\n")
        for line in whole:
            found += 1
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
