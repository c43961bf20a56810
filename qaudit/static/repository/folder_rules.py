"""Rules over a download's files: what they are, where links lead, what is missing or there twice."""

import re
from collections.abc import Iterator
from typing import Final

from qaudit.findings import Severity
from qaudit.static.folder_view import Entry, FileKind
from qaudit.static.kinds import PICKLE_NAMES, suffix_of
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.repository.download import Download
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[Download] = RuleBook(
    "repository", "a download as a folder: links, formats, texts for its readers"
)
_AGAIN = "do not load it; get it again from its author"
_WEIGHTS: Final = frozenset(
    {".gguf", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".h5", ".msgpack", ".npz"}
)
# suffix -> the kinds that may lie under it
_EXPECTED: Final[dict[str, frozenset[FileKind]]] = {
    ".gguf": frozenset({"gguf"}),
    ".ggml": frozenset({"ggml", "gguf"}),
    ".safetensors": frozenset({"safetensors"}),
    ".json": frozenset({"config", "tokenizer", "template", "text"}),
    ".jinja": frozenset({"template", "text"}),
    ".md": frozenset({"readme", "text"}),
    ".txt": frozenset({"text", "tokenizer", "readme"}),
    ".py": frozenset({"python"}),
    ".model": frozenset({"tokenizer", "other", "text"}),
    **dict.fromkeys(PICKLE_NAMES - {".npy"}, frozenset({"pickle", "zip", "archive", "other", "text"})),
}
_IMAGES: Final = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp"})
_USUAL_HIDDEN: Final = frozenset(
    {".gitattributes", ".gitignore", ".gitkeep", ".gitmodules", ".ds_store", ".dockerignore", ".editorconfig",
     ".pre-commit-config.yaml", ".flake8", ".eval_results", ".huggingface", ".cache", ".github", ".locks",
     ".no_exist", ".model-index.yml", ".metadata", ".nojekyll", ".prettierrc", ".markdownlint.json"}
)  # fmt: skip
_STARTUP: Final = frozenset({"sitecustomize.py", "usercustomize.py"})
_SHADOWED: Final = frozenset(
    {
        "os", "sys", "re", "io", "json", "math", "time", "random", "types", "typing", "torch", "numpy",
        "transformers", "tokenizers", "safetensors", "huggingface_hub", "accelerate", "datasets",
        "pickle", "socket", "ssl", "subprocess", "logging", "inspect", "collections", "abc",
        "dataclasses", "functools", "copy", "enum", "pathlib", "tempfile", "importlib", "requests",
        "urllib", "triton", "vllm"
    }
)  # fmt: skip
_SIGNATURES: Final = LazyPattern(
    r"(?:^|/)(?:model\.sig|[^/]*\.(?:sig|asc|sigstore|sigstore\.json|minisig)|oms\.json)$", re.I
)
_FAMILIES: Final = (
    "llama", "qwen", "mistral", "mixtral", "gemma", "phi", "deepseek", "falcon", "bloom", "starcoder", "olmo",
    "granite", "internlm", "baichuan", "chatglm", "stablelm", "gpt2", "gpt-neox", "opt-", "mpt", "rwkv",
    "mamba",
)  # fmt: skip


def _files(download: Download, *kinds: FileKind) -> Iterator[Entry]:
    return (entry for entry in download.folder.entries if not kinds or entry.kind in kinds)


@BOOK.rule(
    "link-out",
    "critical",
    title="A link leads out of the download",
    why="Reading it gives a file of this machine, and writing through it changes one; a model has no "
    "need of it.",
    remedy=_AGAIN,
    sources=("https://cwe.mitre.org/data/definitions/59.html",),
)
def _link_out(download: Download) -> Iterator[Hit]:
    for entry in _files(download):
        if entry.escapes:
            yield Hit(entry.path, f"leads to {(entry.link or '')[:300]!a}")


@BOOK.rule(
    "link",
    "low",
    title="A link within the download",
    why="Two names for one file are unusual in a model; copies of the folder can lose or change them.",
    remedy="see what it leads to",
)
def _link(download: Download) -> Iterator[Hit]:
    for entry in _files(download):
        if entry.link is not None and not entry.escapes:
            lost = entry.open is None
            told = f"leads to {entry.link[:300]!a}{', where there is no file' if lost else ''}"
            yield Hit(entry.path, told, "medium" if lost else None)


@BOOK.rule(
    "hard-link",
    "low",
    title="A file has further names elsewhere",
    why="It can change through its other names after it was checked.",
    remedy="copy the download before you check it",
)
def _hard_link(download: Download) -> Iterator[Hit]:
    if download.linked:
        more = f" and {len(download.linked) - 1} more" if len(download.linked) > 1 else ""
        yield Hit(download.linked[0], f"has more than one name on this disk{more}")


@BOOK.rule(
    "special-file",
    "medium",
    title="Something in the download is no file that can be read",
    why="A pipe, socket or device, or a file without permission: it was not looked at, and hangs or "
    "harms who does.",
    remedy="remove it, or ask what it is for",
)
def _special(download: Download) -> Iterator[Hit]:
    for entry in _files(download):
        if entry.open is None and entry.link is None and not entry.escapes:
            yield Hit(entry.path, "a device, pipe or socket, or a file that must not be read")


@BOOK.rule(
    "content-differs",
    "high",
    title="A file is not what its name says",
    why="Loaders go by content where scanners go by names: a pickle called model.gguf is passed by and "
    "runs all the same.",
    remedy=_AGAIN,
    sources=("CVE-2025-1889", "CVE-2025-10155"),
)
def _differs(download: Download) -> Iterator[Hit]:
    for entry in _files(download):
        suffix, content = suffix_of(entry.path), download.contents.get(entry.path)
        if content is None or entry.open is None or entry.kind == "lfs-pointer":
            continue
        expected = _EXPECTED.get(suffix)
        hides_code = content in ("elf", "pe", "mach-o", "wasm", "pickle", "script")
        if suffix in _IMAGES and content not in ("image", "media"):
            yield Hit(entry.path, f"is {content} by its content")
        elif expected is not None and entry.kind not in expected:
            weights = entry.kind in ("gguf", "safetensors", "ggml") and suffix in PICKLE_NAMES
            severity: Severity | None = (
                "low" if weights else None if hides_code or suffix in _WEIGHTS else "medium"
            )
            yield Hit(entry.path, f"is {content} by its content", severity)
        elif expected and content == "image" and suffix in _WEIGHTS:
            yield Hit(entry.path, "is a picture by its content")


@BOOK.rule(
    "two-formats",
    "high",
    title="A file is an archive as well as what it begins as",
    why="A zip is read from its end: one program sees a picture or weights, another unpacks what is "
    "hidden behind it.",
    remedy=_AGAIN,
    sources=("https://github.com/corkami/mitra",),
)
def _polyglot(download: Download) -> Iterator[Hit]:
    return _noted(download, "two-formats")


@BOOK.rule(
    "lfs-pointer",
    "medium",
    title="A pointer lies where a file should be",
    why="The download is not complete: git-lfs left its pointer, and the file itself was not looked at.",
    remedy="fetch it with git lfs pull or huggingface_hub",
    sources=("https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md",),
)
def _pointer(download: Download) -> Iterator[Hit]:
    for entry in _files(download, "lfs-pointer"):
        head = download.heads.get(entry.path, b"").decode("ascii", "replace")
        told = " ".join(head.split())[:200]
        yield Hit(entry.path, told)


@BOOK.rule(
    "hidden-file",
    "low",
    title="A hidden file",
    why="Names that begin with a dot are not shown in listings; a model's files have no reason to hide.",
    remedy="look at it",
)
def _hidden(download: Download) -> Iterator[Hit]:
    for entry in _files(download):
        parts = [part for part in entry.path.split("/") if part.startswith(".") and part not in (".", "..")]
        harmful = entry.kind in ("python", "script", "native", "pickle", "archive", "zip")
        usual = any(part.lower() in _USUAL_HIDDEN for part in parts)
        if parts and (not usual or (harmful and ".github" not in parts and parts != [".gitmodules"])):
            yield Hit(entry.path, f"is {entry.kind}", "high" if harmful else None)


@BOOK.rule(
    "interpreter-hook",
    "high",
    title="A file that Python runs by itself, or in place of a library",
    why="Started in this folder, Python imports it before, or in place of, what was meant.",
    remedy="do not start Python in this folder; remove the file",
)
def _hook(download: Download) -> Iterator[Hit]:
    for entry in _files(download):
        leaf = entry.path.rpartition("/")[2]
        if leaf in _STARTUP:
            yield Hit(entry.path, "is imported whenever Python starts here")
        elif (
            leaf.endswith(".pth")
            and b"import" in download.heads.get(entry.path, b"")[:200].split(b"\n")[0][:7]
        ):
            yield Hit(entry.path, "is run line by line where it lies among Python's packages")
        elif "/" not in entry.path and leaf.endswith(".py") and leaf[:-3] in _SHADOWED:
            yield Hit(entry.path, f"is imported in place of {leaf[:-3]}", "medium")


@BOOK.rule(
    "dependency-url",
    "medium",
    title="Dependencies come from elsewhere than the package index",
    why="Installing them runs code from an address that can change what it gives at any time.",
    remedy="install from the index, by version and hash",
)
def _dependency(download: Download) -> Iterator[Hit]:
    return _noted(download, "dependency-url")


@BOOK.rule(
    "foreign-format",
    "low",
    title="A format that runs code elsewhere",
    why="Keras, TensorFlow, ONNX and others can carry code or load libraries; qaudit only searches such "
    "files "
    "for the worst.",
    remedy="look at it with a scanner of its format",
)
def _foreign(download: Download) -> Iterator[Hit]:
    return _noted(download, "foreign-format")


@BOOK.rule(
    "foreign-code",
    "critical",
    title="A model of another format runs code when it is loaded",
    why="A Lambda layer is Python's bytecode; operations that read and write files run with the graph.",
    remedy=_AGAIN,
    sources=("CVE-2024-3660", "CVE-2025-1550", "CVE-2024-27318"),
)
def _foreign_code(download: Download) -> Iterator[Hit]:
    return _noted(download, "foreign-code")


@BOOK.rule(
    "hidden-text",
    "high",
    title="A readme holds text that nobody sees",
    why="Invisible characters carry instructions to programs and models that read the page, not to its "
    "readers.",
    remedy="do not give it to a model; ask the author",
)
def _hidden_text(download: Download) -> Iterator[Hit]:
    return _noted(download, "hidden-text")


@BOOK.rule(
    "reader-instructions",
    "high",
    title="A text gives orders to a model that reads it",
    why="Assistants that are asked about a model read its card; a text that speaks to them is an attack "
    "on whoever asks.",
    remedy="do not give it to a model; report it",
)
def _instructions(download: Download) -> Iterator[Hit]:
    return _noted(download, "reader-instructions")


@BOOK.rule(
    "readme-command",
    "medium",
    title="A readme asks to fetch and run in one go",
    why="What is run so is never looked at, and can be another thing for each who fetches it.",
    remedy="download it, read it, then run it",
)
def _command(download: Download) -> Iterator[Hit]:
    return _noted(download, "readme-command")


@BOOK.rule(
    "readme-asks-for-trust",
    "info",
    title="The readme asks to trust the repository's code",
    why="With trust_remote_code=True the files of code beside the model are run.",
    remedy="read the code first, and pin the commit",
)
def _trust(download: Download) -> Iterator[Hit]:
    code = any(entry.kind == "python" for entry in download.folder.entries)
    for hit in _noted(download, "asks-for-trust"):
        # code that is fetched from elsewhere, or will come later, cannot be read
        yield Hit(hit.location, hit.evidence, None if code else "low")


@BOOK.rule(
    "front-matter",
    "low",
    title="A readme's front matter is not what a hub reads",
    why="What a page says of licence, base model and tags is made of it; readers differ in what they "
    "take of a broken one.",
    remedy="do not rely on the page's claims",
)
def _front_matter(download: Download) -> Iterator[Hit]:
    return _noted(download, "front-matter")


@BOOK.rule(
    "base-model-differs",
    "low",
    title="The readme names another base model than the files",
    why="A quantization that is not of the model that it names cannot be held against it.",
    remedy="compare it with --reference",
)
def _base_model(download: Download) -> Iterator[Hit]:
    kind = download.settings.get("model_type")
    bases = " ".join(download.claims.get("base_model", ())).lower()
    named = {family for family in _FAMILIES if family in bases}
    if isinstance(kind, str) and named and len(kind) < 100:
        own = {family for family in _FAMILIES if family in f"{kind.lower()}-"}
        if own and not own & named:
            yield Hit("README.md:base_model", f"{bases[:150]!a}, but config.json says {kind!a}")


@BOOK.rule(
    "signature",
    "info",
    title="A signature lies beside the files",
    why="Somebody vouches for them, if it verifies.",
    remedy="qaudit verify, with the signer's key or identity",
)
def _signature(download: Download) -> Iterator[Hit]:
    for entry in _files(download):
        if _SIGNATURES.search(entry.path):
            yield Hit(entry.path, f"{entry.size} bytes; not verified here")


def _noted(download: Download, code: str) -> Iterator[Hit]:
    severities: dict[str, Severity] = {"info": "info", "low": "low", "medium": "medium", "high": "high"}
    for note in download.notes:
        name, _, told = note.code.partition("=")
        if name == code:
            yield Hit(note.location, note.text, severities.get(told))
