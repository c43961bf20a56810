"""The analyst process: takes templates over a pipe, parses and renders them within limits, tells facts.

Started by `qaudit.static.templates.analyst`, maybe before it is known what to ask it. Two lines come in: how
many seconds of processor time the request may take, and the request as JSON. For each template a line goes
out before it is read and one with its facts after, so that the parent knows which one a process died of.
"""

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from qaudit.confinement import Limits, bound_processor_time, confine
from qaudit.sandboxed_templates import TemplateProblem
from qaudit.static.templates.abstract_values import Guard
from qaudit.static.templates.behaviour import rendered_facts
from qaudit.static.templates.budgets import RanOut, TooCostly, limited
from qaudit.static.templates.conditions import condition_notes
from qaudit.static.templates.costs import costs, endless
from qaudit.static.templates.dataflow import Written, written_by
from qaudit.static.templates.escapes import escapes
from qaudit.static.templates.facts import LONGEST, OUT_OF_MEMORY, Note, TemplateFacts
from qaudit.static.templates.rendering import Renderer, allowance, parsed

if TYPE_CHECKING:
    from jinja2 import nodes

MEMORY_BYTES = 512 << 20


def facts_of(
    text: str, dialect: str, special_tokens: Mapping[str, str], also: Sequence[Guard] = ()
) -> TemplateFacts:
    """Return everything that is told of one template.

    Args:
        text: its source.
        dialect: `jinja` or `go`.
        special_tokens: `bos_token` and the like.
        also: conditions of other templates, for which it is rendered too, so that they can be compared.
    """
    if len(text) > LONGEST:
        return TemplateFacts.too_long(len(text))
    facts = TemplateFacts()
    try:
        with limited(allowance(text)):
            template = _parsed(text, dialect)
            facts.notes += [*escapes(template), *costs(template), *endless(template)]
            written = written_by(template)
    except TemplateProblem as problem:
        facts.error = str(problem)
        kind = "too-deep" if isinstance(problem.__cause__, RecursionError) else "syntax"
        facts.notes.append(Note(kind, 0, str(problem)))
        return facts
    except TooCostly as problem:
        facts.error = str(problem)
        facts.notes.append(Note("cost", 0, f"reading it {problem}", grade=1))
        return facts
    except RanOut as problem:
        facts.error = f"not looked at: reading it {problem}"
        return facts
    except RecursionError:
        facts.error = "nested too deeply"
        facts.notes.append(Note("too-deep", 0, facts.error))
        return facts
    if not written.complete:
        facts.limits.append("too long a program to follow every branch of")
    facts.notes += condition_notes(written)
    if any(note.kind in ("cost", "huge-output", "recursion") for note in facts.notes):
        facts.limits.append("not rendered, because of what it costs")
        return facts
    guards = list(dict.fromkeys([*_guards(written), *also]))
    try:
        renderer = Renderer(template, special_tokens, go=dialect == "go", compiling_s=allowance(text))
        rendered_facts(renderer, guards, facts)
    except TemplateProblem as problem:
        facts.notes.append(Note("fails", 0, str(problem)))
    except TooCostly as problem:
        kind = "huge-output" if "mem" in str(problem) or "MiB" in str(problem) else "cost"
        facts.notes.append(Note(kind, 0, f"rendering a plain conversation {problem}", grade=1))
    except RanOut as problem:
        facts.limits.append(f"rendered with few conversations, which {problem}")
    except MemoryError:
        facts.notes.append(
            Note("huge-output", 0, "rendering takes more memory than the analyst has", grade=1)
        )
    except RecursionError:
        facts.notes.append(Note("recursion", 0, "rendering goes deeper and deeper"))
    return facts


def _parsed(text: str, dialect: str) -> "nodes.Template":
    if dialect != "go":
        return parsed(text)
    from qaudit.static.templates.go_syntax import parsed_go  # its patterns take a while to compile

    return parsed_go(text)


def _guards(written: Written) -> list[Guard]:
    return [*written.compared, *(guard for text in written.texts for guard in text.guards)]


def conditions_of(text: str, dialect: str) -> list[Guard]:
    """Return what the conditions of a template ask for; nothing where it cannot be read."""
    if len(text) > LONGEST:
        return []
    try:
        with limited(allowance(text)):
            return _guards(written_by(_parsed(text, dialect)))
    except (TemplateProblem, TooCostly, RanOut, RecursionError, MemoryError):
        return []


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer the one request."""
    asked: dict[str, Any] = json.loads(requests.readline())
    also: list[Guard] = []

    def tell(line: object) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    for number, template in enumerate(asked["templates"] if asked["together"] else ()):
        tell({"reads": number, "used": time.process_time()})
        also += conditions_of(template["text"], template["dialect"])
    for number, template in enumerate(asked["templates"]):
        tell({"reads": number, "used": time.process_time()})
        try:
            facts = facts_of(template["text"], template["dialect"], asked["special_tokens"], also)
        except MemoryError:
            facts = TemplateFacts("takes more memory than the analyst has")
            facts.notes.append(Note("huge-output", 0, facts.error, grade=1))
        tell(facts.packed())


def main() -> None:
    """Confine, then serve on standard input and output."""
    confine(Limits(memory_bytes=MEMORY_BYTES, cpu_s=int(sys.argv[1])))
    # what was imported stays; the boot turned collecting off for that
    gc.freeze()
    gc.enable()
    # a template is untrusted and its processes' last words may be anything: nobody reads them
    try:
        with contextlib.suppress(BrokenPipeError):
            if processor_s := sys.stdin.readline():  # else there was nothing to ask
                bound_processor_time(int(processor_s))
                serve(sys.stdin, sys.stdout)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


if __name__ == "__main__":
    main()
