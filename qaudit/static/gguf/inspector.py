"""Looks at one GGUF file: walks its header, lays out its tensors, applies every rule."""

from qaudit.findings import Surface
from qaudit.static.byte_source import ByteSource
from qaudit.static.case import Case
from qaudit.static.gguf import (
    header_rules,
    name_rules,
    runtimes,
    shape_rules,
    shard_rules,
    space_rules,
    tensor_rules,
)
from qaudit.static.gguf.book import BOOK, GgufSubject
from qaudit.static.gguf.layout import lay_out
from qaudit.static.gguf.parts import model_parts
from qaudit.static.gguf.walking import walk_gguf
from qaudit.static.metadata.inspector import gguf_metadata
from qaudit.static.model_parts import Examined

# rules enter the book when their module is imported
RULES = (header_rules, name_rules, tensor_rules, shape_rules, shard_rules, space_rules, runtimes)
# problems after which something that is there was not looked at
_UNSEEN = frozenset({
    "magic", "version", "truncated", "count", "lost", "limit", "many", "not-kept", "string-length",
    "array-length", "value-type", "element-type", "nested-array", "nested-depth", "dimensions",
})  # fmt: skip


def inspect_gguf(source: ByteSource, case: Case) -> Examined:
    """Return what is wrong with a GGUF file, how far it was looked at, and its parts.

    Raises:
        InputError: the source cannot be read.
        HubUnreachable: the source's hub no longer answers.
    """
    walk = walk_gguf(source)
    subject = GgufSubject(source, walk, lay_out(walk), case)
    examined = Examined(findings=BOOK.findings(subject))
    if header_rules.is_legacy(subject):
        examined.surfaces.append(Surface(source.name, "ggml", "skipped", "GGML from before GGUF is not read"))
        return examined
    why = _unseen(subject)
    examined.surfaces.append(Surface(source.name, "gguf", "partial" if why else "examined", why))
    if walk.pairs:
        examined.add(gguf_metadata(walk))
    if walk.pairs or walk.tensors:
        examined.parts = model_parts(walk, subject.layout)
    if walk.tensors:
        examined.add(weights(subject))
    return examined


def weights(subject: GgufSubject) -> Examined:
    """Return what the values of the weights show: all of a small file or a deep look, else of a sample."""
    name, source = subject.walk.name, subject.source
    if not source.local:
        return Examined(surfaces=[Surface(name, "weights", "skipped", "only the header was fetched")])
    from qaudit.static.metadata.weight_values import inspect_values

    return inspect_values(source, subject.walk, subject.case)


def _unseen(subject: GgufSubject) -> str:
    """Return why not everything but the weights' values was examined, or nothing where it was."""
    problems = [problem for problem in subject.walk.problems if problem.code in _UNSEEN]
    if problems:
        first = problems[0]
        return f"at byte {first.offset}: {first.text}"
    # of a file on a hub, what lies between the weights counts as theirs
    if subject.unread and subject.source.local:
        return f"{subject.unread} bytes outside of tensors were not read"
    if not subject.layout.exact and subject.walk.tensors:
        return "the sizes of some tensors are not known: their types are a fork's or unknown"
    return ""
