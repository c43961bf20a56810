"""Rules over the instructions of an Ollama Modelfile."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from qaudit.static.hidden_characters import gravity, hidden, named, shown
from qaudit.static.rules import Hit, RuleBook
from qaudit.static.templates.prose import words

REFERENCE = "https://github.com/ollama/ollama/blob/main/docs/modelfile.md"
BOOK: RuleBook["Modelfile"] = RuleBook("modelfile", "what an Ollama Modelfile loads, says and sets")
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://", re.IGNORECASE)
_HUBS = re.compile(r"(?:hf\.co|huggingface\.co|registry\.ollama\.ai|ollama\.com)/", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_UNDOING = re.compile(
    r"\b(?:never|not|no longer|don't|do not|cannot|without)\b[^.\n]{0,60}"
    r"\b(?:refus\w*|restrict\w*|warn\w*|censor\w*|decline\w*|limits?|limitations?|disclaimers?|moral\w*|ethic\w*)"
    r"|\b(?:no|without|free of)\s{1,3}(?:any\s{1,3})?"
    r"(?:restrictions?|limits?|limitations?|rules|guidelines|filters?|censorship|safety)"
    r"|\b(?:uncensored|unfiltered|unrestricted|jailbr\w+|comply with any\w*|do anything now)\b"
    r"|\b(?:ignore|disregard|forget|bypass|override)\b[^.\n]{0,60}\b(?:instructions?|guidelines?|rules|polic\w+|safety)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[#\s*]*[\w ]{1,30}:\s*")
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 5), "top_p": (0, 1), "min_p": (0, 1), "typical_p": (0, 1), "top_k": (-1, 1_000_000),
    "repeat_penalty": (0.5, 3), "presence_penalty": (-3, 3), "frequency_penalty": (-3, 3), "tfs_z": (0, 10),
    "num_ctx": (0, 16_777_216), "num_predict": (-2, 16_777_216), "repeat_last_n": (-1, 16_777_216),
    "mirostat": (0, 2), "mirostat_eta": (0, 10), "mirostat_tau": (0, 100), "num_gpu": (-1, 10_000),
    "num_thread": (0, 4096), "num_batch": (1, 1_048_576), "num_keep": (-1, 16_777_216), "num_gqa": (0, 1024),
    "main_gpu": (-1, 1024), "rope_frequency_base": (0, 1e12), "rope_frequency_scale": (0, 1000),
    "seed": (-1, 2**64),
}  # fmt: skip
_OTHERS = frozenset(
    [
        "stop",
        "penalize_newline",
        "numa",
        "low_vram",
        "f16_kv",
        "logits_all",
        "vocab_only",
        "use_mmap",
        "use_mlock",
        "embedding_only",
        "num_draft",
    ]
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `key` is a parameter's name or a message's role."""

    word: str
    value: str
    line: int
    key: str = ""


@dataclass(slots=True)
class Modelfile:
    """A Modelfile that was read.

    Attributes:
        problems: (line, what is wrong) of what is no instruction or not whole.
        beside: paths of the files of the download; None where it was given alone.
    """

    name: str
    instructions: list[Instruction] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    beside: frozenset[str] | None = None

    def of(self, *wanted: str) -> Iterator[tuple[Instruction, str]]:
        """Yield the instructions of some words with their places."""
        for item in self.instructions:
            if item.word in wanted:
                yield item, f"{self.name}, line {item.line}"


@BOOK.rule(
    "path",
    "high",
    title="the Modelfile takes a file from outside the download",
    why="Ollama reads it when the model is made: keys end up in a blob, or another model is used.",
    remedy="do not run `ollama create` on it",
    sources=("CVE-2024-37032", REFERENCE),
)  # fmt: skip
def path(modelfile: Modelfile) -> Iterator[Hit]:
    """FROM and ADAPTER with absolute paths or paths that climb out."""
    for item, place in modelfile.of("FROM", "ADAPTER", "DRAFT"):
        value = item.value.strip()
        parts = re.split(r"[\\/]", value)
        if _URL.match(value):
            continue
        if value.startswith(("/", "~", "\\")) or _DRIVE.match(value) or ".." in parts:
            yield Hit(place, f"{item.word} {shown(value, 200)}")


@BOOK.rule(
    "url", "high",
    title="the Modelfile loads from an address",
    why="What is loaded is not what was downloaded and looked at.",
    remedy="look at what lies at that address instead",
    sources=(REFERENCE,),
)  # fmt: skip
def url(modelfile: Modelfile) -> Iterator[Hit]:
    """FROM and ADAPTER with an address; a name in a registry is only worth knowing."""
    for item, place in modelfile.of("FROM", "ADAPTER", "DRAFT"):
        value = item.value.strip()
        if _URL.match(value):
            yield Hit(place, f"{item.word} {shown(value, 200)}")
        elif _HUBS.match(value):
            yield Hit(place, f"{item.word} {shown(value, 200)} is fetched when the model is made", "info")


@BOOK.rule(
    "system", "info",
    title="the Modelfile gives a system message",
    why="It stands before every conversation of whoever gives none.",
    remedy="read it, and give one of your own",
    sources=(REFERENCE,),
)  # fmt: skip
def system(modelfile: Modelfile) -> Iterator[Hit]:
    """SYSTEM; graver where it talks a model out of its limits."""
    for item, place in modelfile.of("SYSTEM"):
        if item.value.strip():
            yield Hit(
                place, shown(item.value, 300), "high" if _UNDOING.search(item.value[:100_000]) else None
            )


@BOOK.rule(
    "message", "low",
    title="the Modelfile puts messages into every conversation",
    why="Answers that the model seems to have given already are what it goes on with.",
    remedy="read them, and take them out",
    sources=(REFERENCE,),
)  # fmt: skip
def message(modelfile: Modelfile) -> Iterator[Hit]:
    """MESSAGE; graver where it talks a model out of its limits."""
    for item, place in modelfile.of("MESSAGE"):
        worse = bool(_UNDOING.search(item.value[:100_000]))
        yield Hit(place, f"{item.key}: {shown(item.value, 300)}", "high" if worse else None)


@BOOK.rule(
    "parameter",
    "medium",
    title="a parameter of the Modelfile is out of any sensible range",
    why="Extreme sampling makes nonsense, a huge context ends the machine, stops cut refusals off.",
    remedy="take the parameter out",
    sources=(REFERENCE,),
)  # fmt: skip
def parameter(modelfile: Modelfile) -> Iterator[Hit]:
    """PARAMETER with values that no honest model has."""
    for item, place in modelfile.of("PARAMETER"):
        told = f"{item.key} {shown(item.value, 120)}"
        if item.key == "stop":
            if words(item.value) and not _LABEL.fullmatch(item.value):
                yield Hit(place, f"stops at the words {shown(item.value, 120)}", "high")
        elif item.key in _RANGES:
            try:
                number = float(item.value)
            except ValueError:
                yield Hit(place, f"{told}: is no number", "low")
                continue
            least, most = _RANGES[item.key]
            if not least <= number <= most:
                yield Hit(place, f"{told}: not between {least:g} and {most:g}")
        elif item.key and item.key not in _OTHERS:
            yield Hit(place, f"{told}: no parameter of Ollama", "low")


@BOOK.rule(
    "instructions", "medium",
    title="a text of the Modelfile commands whoever reads it",
    why="A licence is no place for orders: they are meant for a model that reviews the file.",
    remedy="do not let it guide a review",
    sources=("https://genai.owasp.org/llmrisk/llm01-prompt-injection/",),
)  # fmt: skip
def instructions(modelfile: Modelfile) -> Iterator[Hit]:
    """LICENSE with commands in it."""
    for item, place in modelfile.of("LICENSE"):
        if match := _UNDOING.search(item.value[:100_000]):
            yield Hit(place, shown(item.value[max(0, match.start() - 40) : match.end() + 80], 200))


@BOOK.rule(
    "hidden-characters", "high",
    title="the Modelfile has characters that nobody sees",
    why="Zero-width, bidirectional and tag characters show a person another text than the model reads.",
    remedy="read that place in an editor that shows code points",
    sources=("CVE-2021-42574",),
)  # fmt: skip
def hidden_characters(modelfile: Modelfile) -> Iterator[Hit]:
    """In everything but the template, which has a rule of its own."""
    for item in modelfile.instructions:
        if item.word != "TEMPLATE" and (found := hidden(item.value, marks=True)):
            yield Hit(f"{modelfile.name}, line {item.line}", f"{item.word}: {named(found)}", gravity(found))


@BOOK.rule(
    "malformed", "medium",
    title="the Modelfile has lines that are no instructions",
    why="Ollama refuses it; what it was meant to do cannot be told.",
    remedy="get the original",
    sources=(REFERENCE,),
)  # fmt: skip
def malformed(modelfile: Modelfile) -> Iterator[Hit]:
    """Unknown words, quotes that are never closed."""
    for line, problem in modelfile.problems:
        yield Hit(f"{modelfile.name}, line {line}", shown(problem, 200))


@BOOK.rule(
    "missing-file", "low",
    title="the Modelfile names a file that is not in the download",
    why="What is loaded is not what was looked at.",
    remedy="get the file, or look at it where it is",
    sources=(REFERENCE,),
)  # fmt: skip
def missing_file(modelfile: Modelfile) -> Iterator[Hit]:
    """FROM and ADAPTER with a path in the folder that does not exist."""
    if modelfile.beside is None:
        return
    folder = modelfile.name.rpartition("/")[0]
    for item, place in modelfile.of("FROM", "ADAPTER", "DRAFT"):
        value = item.value.strip()
        local = value.startswith("./") or value.endswith((".gguf", ".safetensors", ".bin"))
        if (
            not local
            or _URL.match(value)
            or _HUBS.match(value)
            or ".." in value.split("/")
            or value.startswith("/")
        ):
            continue
        wanted = f"{folder}/{value.removeprefix('./')}".strip("/").rstrip("/")
        if wanted not in ("", ".") and not any(
            p == wanted or p.startswith(f"{wanted}/") for p in modelfile.beside
        ):
            yield Hit(place, f"{item.word} {shown(value, 200)}")
