"""Rules over the layout and the members of an archive."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from qaudit.findings import Severity
from qaudit.static.archives.archive_walk import ArchiveWalk
from qaudit.static.kinds import suffix_of
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit, RuleBook

_DOCS = "https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT"
_AGAIN = "do not unpack or load it; get it again from its author"
_DRIVE = LazyPattern(r"^[A-Za-z]:")
_PROGRAMS = frozenset({"elf", "pe", "mach-o", "wasm", "script", "dex", "llvm-bitcode"})
MAX_RATIO = 200
BIG = 64 << 20
MANY = 10_000


@dataclass(slots=True)
class Contents:
    """An archive and what its members turned out to be.

    Attributes:
        kinds: member's name -> what it is by its first bytes and name.
        checksums: names of members whose bytes are not what the archive says.
        unlocked: names of members that are said to be encrypted and are not.
        opaque: (location, why) of what could not be looked into.
        loaded: whether the archive's name is one under which weights are loaded.
        lambdas: names of members that describe a Keras model with code in it.
        bomb: what a file that is compressed as a whole grew to, where that is too much.
    """

    walk: ArchiveWalk
    kinds: dict[str, str] = field(default_factory=dict)
    checksums: list[str] = field(default_factory=list)
    unlocked: list[str] = field(default_factory=list)
    opaque: list[tuple[str, str]] = field(default_factory=list)
    loaded: bool = False
    lambdas: list[str] = field(default_factory=list)
    bomb: str = ""


BOOK: RuleBook[Contents] = RuleBook("archive", "zips, tars and compressed files, and what hides in them")


def leads_out(path: str, beside: str = "") -> bool:
    """Return whether a name, or a link that lies beside `beside`, leads out of the folder."""
    path = path.replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path) or "\x00" in path:
        return True
    depth = beside.replace("\\", "/").strip("/").count("/")
    for part in path.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False


@BOOK.rule(
    "path-traversal",
    "critical",
    title="An archive's member is unpacked outside of its folder",
    why="A name that begins with a slash, a drive or goes up with `..` writes where it likes: over a "
    "start-up file, for instance, and then runs.",
    remedy=_AGAIN,
    sources=("https://cwe.mitre.org/data/definitions/22.html",),
)
def _traversal(contents: Contents) -> Iterator[Hit]:
    for member in contents.walk.members:
        if leads_out(member.name):
            yield Hit(contents.walk.name, f"a member is called {member.name[:300]!a}")


@BOOK.rule(
    "link",
    "medium",
    title="An archive holds a link",
    why="A member that is written through a link ends where the link leads. Weights need no links.",
    remedy=_AGAIN,
    sources=("https://cwe.mitre.org/data/definitions/59.html",),
)
def _link(contents: Contents) -> Iterator[Hit]:
    for member in contents.walk.members:
        if member.kind in ("link", "hard-link"):
            out = leads_out(member.link, member.name if member.kind == "link" else "")
            told = f"{member.name[:150]!a} leads to {member.link[:150]!a}"
            yield Hit(contents.walk.name, told, "critical" if out else None)


@BOOK.rule(
    "duplicate-name",
    "high",
    title="Two members of an archive have one name",
    why="Which of the two is loaded depends on the loader, so that a scanner can be shown the harmless one.",
    remedy=_AGAIN,
    sources=(_DOCS,),
)
def _duplicate(contents: Contents) -> Iterator[Hit]:
    seen: dict[str, str] = {}
    for member in contents.walk.members:
        if member.kind == "folder":
            continue
        folded = member.name.casefold().replace("\\", "/")
        if folded in seen:
            same = seen[folded] == member.name
            told = f"{member.name[:300]!a} {'twice' if same else f'and {seen[folded][:200]!a}'}"
            yield Hit(contents.walk.name, told, None if same else "medium")
        seen.setdefault(folded, member.name)


def _of_code(contents: Contents, code: str, severity: Severity | None = None) -> Iterator[Hit]:
    for fault in contents.walk.faults:
        if fault.code == code:
            yield Hit(fault.location, fault.text, severity)


@BOOK.rule(
    "header-mismatch",
    "high",
    title="A zip says two things about one member",
    why="The directory and the header beside the data differ. Python's zipfile refuses such a member, torch "
    "loads it: scanners that use the one see nothing of what the other runs.",
    remedy=_AGAIN,
    sources=("CVE-2025-1944", "CVE-2025-1945", _DOCS),
)
def _mismatch(contents: Contents) -> Iterator[Hit]:
    return _of_code(contents, "header-mismatch")


@BOOK.rule(
    "false-flags",
    "high",
    title="A member is said to be encrypted and is not",
    why="Scanners that believe the flag pass it by; torch does not look at it and loads the member.",
    remedy=_AGAIN,
    sources=("CVE-2025-1945",),
)
def _flags(contents: Contents) -> Iterator[Hit]:
    for name in contents.unlocked:
        yield Hit(
            f"{contents.walk.name}:{name}", "its encryption flag is set, its data unpacks without a password"
        )


@BOOK.rule(
    "bad-checksum",
    "high",
    title="A member is not what its checksum says",
    why="Readers that check it stop there, scanners among them; torch's reader does not check and loads it.",
    remedy="download it again; if it stays so, do not load it",
    sources=("CVE-2025-10156",),
)
def _checksum(contents: Contents) -> Iterator[Hit]:
    for name in contents.checksums:
        yield Hit(f"{contents.walk.name}:{name}", "its CRC-32 is not that of its data")


@BOOK.rule(
    "hidden-member",
    "high",
    title="A zip holds a member that its directory does not list",
    why="It is seen by readers that go from header to header, and by nobody else.",
    remedy=_AGAIN,
    sources=(_DOCS,),
)
def _hidden(contents: Contents) -> Iterator[Hit]:
    return _of_code(contents, "hidden-member")


@BOOK.rule(
    "two-directories",
    "high",
    title="A zip has two directories",
    why="Which one counts differs between readers: two programs see two different archives in one file.",
    remedy=_AGAIN,
    sources=(_DOCS,),
)
def _directories(contents: Contents) -> Iterator[Hit]:
    return _of_code(contents, "two-directories")


@BOOK.rule(
    "overlap",
    "high",
    title="Members of a zip share their bytes",
    why="So a small file unpacks to a huge one, or one member is shown and another loaded.",
    remedy=_AGAIN,
    sources=("https://www.bamsoftware.com/hacks/zipbomb/",),
)
def _overlap(contents: Contents) -> Iterator[Hit]:
    return _of_code(contents, "overlap")


@BOOK.rule(
    "prepended",
    "high",
    title="Something lies before an archive's first member",
    why="A file that is two things at once: a zip is read from its end, a pickle or a program from its "
    "start.",
    remedy=_AGAIN,
    sources=("https://github.com/corkami/mitra",),
)
def _prepended(contents: Contents) -> Iterator[Hit]:
    return _of_code(contents, "prepended")


@BOOK.rule(
    "trailing",
    "high",
    title="Something lies behind an archive's end",
    why="No reader of the archive sees it; another program, or code in the archive, can.",
    remedy=_AGAIN,
    sources=("https://github.com/corkami/mitra",),
)
def _trailing(contents: Contents) -> Iterator[Hit]:
    for fault in contents.walk.faults:
        if fault.code == "trailing":
            yield Hit(fault.location, fault.text, "low" if fault.content == "zeros" else None)


@BOOK.rule(
    "gap",
    "medium",
    title="Bytes lie between an archive's members",
    why="No reader of the archive sees them; they can carry what nobody looks for there.",
    remedy=_AGAIN,
)
def _gap(contents: Contents) -> Iterator[Hit]:
    for fault in contents.walk.faults:
        if fault.code == "gap":
            yield Hit(fault.location, fault.text, "high" if fault.content in {*_PROGRAMS, "pickle"} else None)


@BOOK.rule(
    "broken",
    "high",
    title="An archive is broken",
    why="Readers differ in what they still take from it, so that what a scanner saw need not be what is "
    "loaded.",
    remedy="download it again; if it stays so, do not load it",
    sources=("https://www.reversinglabs.com/blog/rl-identifies-malware-ml-model-hosted-on-hugging-face",),
)
def _broken(contents: Contents) -> Iterator[Hit]:
    return _of_code(contents, "broken")


@BOOK.rule(
    "device",
    "high",
    title="An archive holds a device or a pipe",
    why="Unpacked by an administrator it gives access to a disk or memory; weights need none.",
    remedy=_AGAIN,
)
def _device(contents: Contents) -> Iterator[Hit]:
    return _of_code(contents, "device")


@BOOK.rule(
    "bomb",
    "high",
    title="An archive unpacks to far more than it is",
    why="Whoever unpacks it runs out of memory or disk.",
    remedy=_AGAIN,
    sources=("https://cwe.mitre.org/data/definitions/409.html",),
)
def _bomb(contents: Contents) -> Iterator[Hit]:
    walk = contents.walk
    if contents.bomb:
        yield Hit(walk.name, contents.bomb)
    for member in walk.members:
        if member.size > BIG and member.size > MAX_RATIO * max(member.packed, 1):
            yield Hit(f"{walk.name}:{member.name}", f"{member.packed} bytes that unpack to {member.size}")
    total = sum(member.size for member in walk.members)
    if total > BIG and total > MAX_RATIO * max(walk.size, 1):
        yield Hit(walk.name, f"{walk.size} bytes that unpack to {total}")


@BOOK.rule(
    "many-members",
    "low",
    title="An archive has more members than any checkpoint",
    why="Tens of thousands of members wear down whoever unpacks or scans them, and one among them is "
    "easily missed.",
    remedy="ask what they are for",
)
def _many(contents: Contents) -> Iterator[Hit]:
    if len(contents.walk.members) > MANY:
        yield Hit(contents.walk.name, f"{len(contents.walk.members)} members")


@BOOK.rule(
    "opaque",
    "medium",
    title="An archive could not be looked into",
    why="What is packed in a way that scanners do not open is not checked by them. Under a name that loaders "
    "of weights take, that is what it is for.",
    remedy="ask for the plain files",
    sources=("https://www.reversinglabs.com/blog/rl-identifies-malware-ml-model-hosted-on-hugging-face",),
)
def _opaque(contents: Contents) -> Iterator[Hit]:
    for location, why in contents.opaque:
        yield Hit(location, why, "high" if contents.loaded else None)


@BOOK.rule(
    "program",
    "high",
    title="An archive holds a program",
    why="Weights and settings are numbers and texts; a program in the midst of them is there to be run.",
    remedy=_AGAIN,
)
def _program(contents: Contents) -> Iterator[Hit]:
    for name, kind in contents.kinds.items():
        if kind in _PROGRAMS or (kind == "native" and suffix_of(name)):
            yield Hit(f"{contents.walk.name}:{name}", f"is {kind}")


@BOOK.rule(
    "renamed-pickle",
    "medium",
    title="A pickle in an archive has the name of something else",
    why="Scanners that choose members by their names pass it by.",
    remedy="look at what loads it, or do not load it",
    sources=("CVE-2025-1889",),
)
def _renamed(contents: Contents) -> Iterator[Hit]:
    for name, kind in contents.kinds.items():
        if kind == "renamed-pickle":
            yield Hit(f"{contents.walk.name}:{name}", "is a pickle by its content")


@BOOK.rule(
    "torchscript",
    "low",
    title="The archive is a TorchScript program",
    why="It is compiled and run by torch: no Python, but a program all the same, which can read and write "
    "files.",
    remedy="prefer a checkpoint of weights alone",
    sources=("https://github.com/pytorch/pytorch/security/policy",),
)
def _torchscript(contents: Contents) -> Iterator[Hit]:
    names = {member.name.partition("/")[2] for member in contents.walk.members}
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        yield Hit(contents.walk.name, f"{sum(name.startswith('code/') for name in names)} files of its code")


@BOOK.rule(
    "keras-lambda",
    "critical",
    title="A Keras model holds Python code",
    why="A Lambda layer is marshalled bytecode, or names a function, that runs when the model is loaded "
    "or called.",
    remedy=_AGAIN,
    sources=("CVE-2024-3660", "CVE-2025-1550"),
)
def _lambda(contents: Contents) -> Iterator[Hit]:
    for name in contents.lambdas:
        yield Hit(f"{contents.walk.name}:{name}", "describes a Lambda layer or names a module to import")
