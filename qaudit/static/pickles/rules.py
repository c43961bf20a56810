"""Rules over what a walk through pickles saw."""

from collections.abc import Iterator

from qaudit.findings import Severity
from qaudit.static.pickles.known_names import standing
from qaudit.static.pickles.walk import Import, PickleWalk
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[PickleWalk] = RuleBook("pickle", "pickles: imports, calls and broken or hidden streams")
_USE = "do not load it; ask for safetensors or GGUF, or load it where nothing can be lost"
_DOCS = "https://docs.python.org/3/library/pickle.html"
_STRUCTURAL: dict[str, Severity] = {
    "opcode": "high", "truncated": "high", "protocol": "medium", "proto": "medium", "array": "low",
    "depth": "high", "memo": "high", "frame": "medium",
}  # fmt: skip


def _imports(walk: PickleWalk, *standings: str) -> Iterator[Import]:
    return (found for names, found in walk.imports.items() if standing(*names) in standings)


def _told(walk: PickleWalk, found: Import) -> str:
    call = next((c for c in walk.calls if c.target and c.target.full_name == found.full_name), None)
    how = f"{call.opcode} with {call.arguments}" if call else "imported, which runs its module"
    return f"{found.full_name} ({found.opcode}): {how}"


@BOOK.rule(
    "unsafe-global",
    "critical",
    title="A pickle runs code when it is loaded",
    why="A pickle is a program. This one imports something that runs commands, opens files or networks, "
    "or reaches into the interpreter; loading the file runs it with the rights of whoever loads.",
    remedy=_USE,
    sources=("CVE-2025-1716", "CVE-2025-1889", "CVE-2025-10155", "CVE-2025-10156", "CVE-2025-10157",
             "CVE-2025-32434", "CVE-2026-56315", _DOCS),
)  # fmt: skip
def _unsafe(walk: PickleWalk) -> Iterator[Hit]:
    for found in _imports(walk, "dangerous"):
        yield Hit(walk.place(found.offset), _told(walk, found))


@BOOK.rule(
    "unknown-global",
    "high",
    title="A pickle imports something that weights do not need",
    why="Tensors need a dozen functions of torch and numpy. An import of anything else runs that module "
    "and can call what it finds there; lists of forbidden names have been got round again and again.",
    remedy=_USE,
    sources=("CVE-2025-1716", "CVE-2025-10157", _DOCS),
)
def _unknown(walk: PickleWalk) -> Iterator[Hit]:
    for found in _imports(walk, "unknown"):
        if not found.module.startswith("?"):
            yield Hit(walk.place(found.offset), _told(walk, found))


@BOOK.rule(
    "library-class",
    "medium",
    title="A pickle holds objects of a library, not only tensors",
    why="Loading them runs the library's own code for restoring objects, with values that the file chooses; "
    "a checkpoint of weights has no need of it.",
    remedy="load it with torch.load(weights_only=True), or ask for safetensors",
    sources=("CVE-2026-1839", _DOCS),
)
def _library(walk: PickleWalk) -> Iterator[Hit]:
    for found in _imports(walk, "library"):
        yield Hit(walk.place(found.offset), _told(walk, found))


@BOOK.rule(
    "computed-import",
    "high",
    title="A pickle puts the name of an import together while it loads",
    why="No pickler does this: the names of modules and classes stand in the file as they are. It is a way "
    "of keeping an import from whoever reads the file.",
    remedy=_USE,
    sources=(_DOCS,),
)
def _computed(walk: PickleWalk) -> Iterator[Hit]:
    for found in walk.imports.values():
        if found.module.startswith("?"):
            yield Hit(walk.place(found.offset), f"{found.opcode} of {found.full_name}")
    for offset, code in walk.extension_codes:
        yield Hit(
            walk.place(offset), f"extension code {code}, of which only the loading program knows the name"
        )


@BOOK.rule(
    "indirect-call",
    "high",
    title="A pickle calls what another call gave",
    why="Picklers call classes and functions by their names. Calling the result of a call is how a chain of "
    "harmless looking functions becomes a command.",
    remedy=_USE,
    sources=(_DOCS,),
)
def _indirect(walk: PickleWalk) -> Iterator[Hit]:
    for call in walk.calls:
        if call.target is None:
            yield Hit(walk.place(call.offset), f"{call.opcode} {call.arguments}")


@BOOK.rule(
    "changes-global",
    "high",
    title="A pickle changes a module's function or class",
    why="BUILD and SETITEM fill objects that the pickle made. Here they fill a global itself, so that code "
    "that is run later is no longer what it was.",
    remedy=_USE,
    sources=(_DOCS,),
)
def _changes(walk: PickleWalk) -> Iterator[Hit]:
    for call in walk.calls:
        if call.target is not None and call.opcode in ("BUILD", "SETITEM"):
            yield Hit(
                walk.place(call.offset), f"{call.opcode} on {call.target.full_name} with {call.arguments}"
            )


@BOOK.rule(
    "broken-stream",
    "high",
    title="A pickle is broken, or not as any pickler writes it",
    why="Everything before the break runs before the loader notices, while scanners that give up at the "
    "break report nothing; a file of weights that breaks off is also of no use.",
    remedy="download it again; if it stays so, do not load it",
    sources=("https://www.reversinglabs.com/blog/rl-identifies-malware-ml-model-hosted-on-hugging-face",),
)
def _broken(walk: PickleWalk) -> Iterator[Hit]:
    if not walk.begins:
        return
    for problem in walk.problems:
        yield Hit(walk.place(problem.offset), problem.text, _STRUCTURAL[problem.code])


@BOOK.rule(
    "hidden-stream",
    "high",
    title="A pickle lies amid other bytes",
    why="Something was put where the format keeps numbers or nothing; another loader, or code that knows "
    "where to look, unpickles it.",
    remedy=_USE,
)
def _hidden(walk: PickleWalk) -> Iterator[Hit]:
    for offset in walk.hidden:
        yield Hit(
            walk.place(offset), "a whole pickle with imports begins here, outside of what the file loads"
        )


@BOOK.rule(
    "nested",
    "medium",
    title="A pickle carries another file in a byte string",
    why="What is packed in a byte string is loaded by a second loader, after the first has been looked at.",
    remedy="load it with torch.load(weights_only=True), or ask for safetensors",
    sources=("CVE-2025-1944",),
)
def _nested(walk: PickleWalk) -> Iterator[Hit]:
    for inner in walk.embedded:
        native = inner.content in ("elf", "pe", "mach-o", "script")
        told = f"{inner.length} bytes that are {inner.content}"
        yield Hit(walk.place(inner.offset), told, "high" if native else None)


@BOOK.rule(
    "expansion",
    "medium",
    title="A pickle uses its memo as no pickler does",
    why="Fetching the same few values again and again builds a structure far larger than the file: walking "
    "or printing it does not end.",
    remedy="do not load it",
)
def _expansion(walk: PickleWalk) -> Iterator[Hit]:
    if walk.doublings >= 16:
        yield Hit(walk.name, f"a value holds the one before it twice or more, {walk.doublings} times over")


@BOOK.rule(
    "persistent-id",
    "low",
    title="A pickle leaves objects to the loading program",
    why="A persistent id is resolved by the program that loads; torch has one kind for its storages, "
    "this is another.",
    remedy="look up which program wrote the file",
)
def _persistent(walk: PickleWalk) -> Iterator[Hit]:
    if walk.odd_persistent is not None:
        yield Hit(
            walk.place(walk.odd_persistent), f"{walk.persistent} persistent ids, of which this is not torch's"
        )


@BOOK.rule(
    "present",
    "info",
    title="The file is a pickle",
    why="Even where nothing in it is suspicious, loading a pickle runs a program; safetensors and GGUF hold "
    "the same weights as plain numbers.",
    remedy="prefer safetensors or GGUF; else torch.load(weights_only=True)",
    sources=(_DOCS,),
)
def _present(walk: PickleWalk) -> Iterator[Hit]:
    if walk.pickles and not walk.depth:
        names = ", ".join(sorted(found.full_name for found in walk.imports.values())[:8])
        yield Hit(walk.name, f"{walk.pickles} pickles; imports {names or 'nothing'}")
