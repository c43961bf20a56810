"""Rules over the keys of JSON files by which a library loads a stranger's code, or follows his paths."""

import re
from collections.abc import Iterator

from qaudit.findings import Severity
from qaudit.static.configs.documents import ConfigFile
from qaudit.static.lazy_pattern import LazyPattern
from qaudit.static.rules import Hit, RuleBook

BOOK: RuleBook[ConfigFile] = RuleBook("config", "configuration files and the keys that load code")
REFUSE = "do not load it, and report who offers it"
READ_CODE = "read that code, pin its commit, and load without trust_remote_code where you can"
REMOTE_CODE = "https://huggingface.co/docs/transformers/custom_models"
# the one part of a repository's name that the hub allows, twice
_REPOSITORY = LazyPattern(r"[\w.-]+/[\w.-]+(?:@[\w./-]+)?(?::[\w.-]+)?")
_PLAIN_ATTENTION = LazyPattern(r"[\w| .-]+")
_ATTENTION = LazyPattern(r"_?(?:attn|experts|mlp|moe|linear_attn)_implementation(?:_internal)?")
_INTERNAL = LazyPattern(r"_(?:attn|experts)_implementation_internal")
_KERNELS = frozenset(
    {"kernel_config", "kernel_mapping", "kernels", "use_kernels", "hub_kernels", "kernel_repo"}
)
_TARGETS = frozenset({"_target_", "_partial_target_", "__target__"})
# callables that a stranger has no honest reason to name
_DANGEROUS = LazyPattern(
    r"(?:os|sys|subprocess|builtins|__builtin__|importlib|runpy|pty|posix|nt|shutil|socket|ctypes|pickle"
    r"|cloudpickle|dill|marshal|code|codeop|timeit|pdb|cProfile|webbrowser|multiprocessing|asyncio|http|urllib"
    r"|requests|tempfile|pathlib|_posixsubprocess|torch\.(?:hub|load|serialization|utils\.cpp_extension)|numpy\.load"
    r"|joblib|yaml|ensurepip|pip|venv|pydoc|imp|zipimport)(?:\..*)?"
    r"|(?:.*\.)?(?:eval|exec|system|popen|__import__|import_module|load_module|run_path|check_output)"
)
_ESCAPE = LazyPattern(r"(?:.*[/\\])?\.\.[/\\].*|file:.*|[/\\]{2}[\w.-]+[/\\].*|/(?:etc|proc|dev|sys|boot)/.*")
_PATH_KEYS = LazyPattern(r".*(?:_file|_path|_dir|_filename|file_name)|path|filename|subfolder|weights")
# read by loaders; what training left behind names folders of the machine that it ran on
_LOADED = frozenset({
    "config.json", "tokenizer_config.json", "generation_config.json", "preprocessor_config.json",
    "processor_config.json", "adapter_config.json", "special_tokens_map.json", "model_index.json",
    "config_sentence_transformers.json", "video_preprocessor_config.json", "openvino_config.json",
})  # fmt: skip
MAX_PATH = 300
LARGE = frozenset({"tokenizer.json", "vocab.json", "added_tokens.json"})


@BOOK.rule(
    "malformed", "medium",
    title="a configuration file is not JSON",
    why="Strict and careless parsers read it differently, or the strict ones not at all.",
    remedy="download it again", sources=("RFC 8259",),
)  # fmt: skip
def malformed(file: ConfigFile) -> Iterator[Hit]:
    """Tell why a strict parser refuses it."""
    if file.name in _LOADED and not file.document.problem and not isinstance(file.document.value, dict):
        yield Hit(file.path, "is not an object", "high")
    if file.document.problem and not _is_index(file):
        severity: Severity | None = "high" if file.path.endswith("config.json") else None
        yield Hit(file.path, file.document.problem, severity)


@BOOK.rule(
    "duplicate-key", "high",
    title="a key stands twice in one object",
    why="One parser takes the first value, another the last: what was reviewed is not what is in force.",
    remedy="do not load it; ask its author for a clean file", sources=("RFC 8259",),
)  # fmt: skip
def duplicate(file: ConfigFile) -> Iterator[Hit]:
    """Find keys that one object holds twice; vocabularies and indexes have rules of their own."""
    for key in file.document.duplicates if file.name not in LARGE and not _is_index(file) else ():
        yield Hit(file.path, ascii(key[:160]))


@BOOK.rule(
    "odd-number", "info",
    title="a number that JSON does not have",
    why="NaN, Infinity and numbers out of range are read by Python and refused by others.",
    remedy="none needed for Python runtimes", sources=("RFC 8259",),
)  # fmt: skip
def odd_number(file: ConfigFile) -> Iterator[Hit]:
    """Tell the first odd number."""
    for text in file.document.odd_numbers[:1]:
        yield Hit(file.path, ascii(text))


@BOOK.rule(
    "auto-map", "medium",
    title="the model brings code of its own",
    why="With trust_remote_code the named module of this repository is imported and run.",
    remedy=READ_CODE, sources=(REMOTE_CODE, "CVE-2025-66448", "CVE-2026-22807"),
)  # fmt: skip
def auto_map(file: ConfigFile) -> Iterator[Hit]:
    """Find auto_map and custom_pipelines that name modules of this repository, at any depth."""
    for path, _, value in _code_maps(file):
        if isinstance(value, str) and "--" not in value and value:
            leads_out = ".." in value or value.startswith(("/", "\\")) or "/" in value
            yield Hit(f"{file.path}:{path}", ascii(value[:200]), "critical" if leads_out else None)


@BOOK.rule(
    "auto-map-remote", "high",
    title="the model loads code of another repository",
    why="The code is fetched from there each time: it can change after this download was audited.",
    remedy="do not load it with trust_remote_code", sources=(REMOTE_CODE, "CVE-2025-66448", "CVE-2026-27893"),
)  # fmt: skip
def auto_map_remote(file: ConfigFile) -> Iterator[Hit]:
    """Find `owner/repository--module.Class`, at any depth."""
    for path, _, value in _code_maps(file):
        if isinstance(value, str) and "--" in value:
            # some loaders follow the ones in sub-configurations without asking
            nested = path.count("auto_map") and not path.startswith("auto_map")
            yield Hit(f"{file.path}:{path}", ascii(value[:200]), "critical" if nested else None)


@BOOK.rule(
    "attention-from-hub", "critical",
    title="an implementation is fetched from a repository and run",
    why="A repository in place of an implementation's name is downloaded and imported while the model "
    "is loaded, whatever trust_remote_code says.",
    remedy=REFUSE, sources=("CVE-2026-4372",),
)  # fmt: skip
def attention(file: ConfigFile) -> Iterator[Hit]:
    """Find implementations that are no plain names."""
    for path, key, value in file.members:
        named = isinstance(value, str) and value and _in_attention(path, key)
        if named and not _PLAIN_ATTENTION.fullmatch(str(value)):
            yield Hit(f"{file.path}:{path}", ascii(str(value)[:200]))


@BOOK.rule(
    "internal-key", "low",
    title="a key that only the library itself sets",
    why="Older versions of transformers take it from the file, past the checks of the public key.",
    remedy="update transformers to 5.3 or later", sources=("CVE-2026-4372",),
)  # fmt: skip
def internal(file: ConfigFile) -> Iterator[Hit]:
    """Find internal keys with a harmless value."""
    for path, key, value in file.members:
        if _INTERNAL.fullmatch(key) and isinstance(value, str) and _PLAIN_ATTENTION.fullmatch(value):
            yield Hit(f"{file.path}:{path}", ascii(value[:100]))


@BOOK.rule(
    "kernels-from-hub", "high",
    title="kernels are fetched from a repository and run",
    why="Native code of a stranger's repository is loaded into the process that runs the model.",
    remedy=REFUSE, sources=("https://huggingface.co/docs/kernels", "CVE-2026-4372"),
)  # fmt: skip
def kernels(file: ConfigFile) -> Iterator[Hit]:
    """Find repositories under the keys of kernels."""
    for path, _, value in file.members:
        named = _KERNELS.intersection(re.split(r"[.\[]", path)) and isinstance(value, str)
        if named and _REPOSITORY.fullmatch(str(value)):
            yield Hit(f"{file.path}:{path}", ascii(str(value)[:200]))


@BOOK.rule(
    "trust-remote-code", "high",
    title="the file asks for its own code to be trusted",
    why="Tools that pass the file's settings on take away the question that protects their user.",
    remedy="do not load it with tools that honour this key",
    sources=("https://github.com/huggingface/optimum-intel/issues/1510",),
)  # fmt: skip
def trust(file: ConfigFile) -> Iterator[Hit]:
    """Find trust_remote_code that is not false."""
    for path, key, value in file.members:
        if key == "trust_remote_code" and value not in (False, None, 0, "false", "False"):
            yield Hit(f"{file.path}:{path}", ascii(value)[:60])


@BOOK.rule(
    "quantization-tokenizer", "medium",
    title="a quantization setting names a tokenizer or dataset to load",
    why="Tools that quantize again fetch it, some with the right to run its code.",
    remedy="remove the key before quantizing again",
    sources=("https://github.com/huggingface/optimum-intel/issues/1510",),
)  # fmt: skip
def quantization_tokenizer(file: ConfigFile) -> Iterator[Hit]:
    """Find tokenizers under quantization settings that lead outside, or beside a trust in code."""
    for path, key, value in file.members:
        if (
            key in ("tokenizer", "processor")
            and isinstance(value, str)
            and "quantization" in path + file.path
        ):
            known = _REPOSITORY.fullmatch(value) and not value.startswith((".", "/"))
            yield Hit(f"{file.path}:{path}", ascii(value[:200]), "low" if known else None)


@BOOK.rule(
    "hydra-target", "medium",
    title="a key names a Python object to be called",
    why="Hydra and its like import and call whatever stands there, with the arguments beside it.",
    remedy="load it only with a list of allowed targets", sources=("CVE-2025-23304", "https://hydra.cc"),
)  # fmt: skip
def hydra_target(file: ConfigFile) -> Iterator[Hit]:
    """Find _target_, at any depth; those that run commands or load code are critical."""
    for path, key, value in file.members:
        if key in _TARGETS and isinstance(value, str):
            yield Hit(f"{file.path}:{path}", ascii(value[:200]), "critical" if is_dangerous(value) else None)


@BOOK.rule(
    "custom-generate", "high",
    title="text is generated by code of another repository",
    why="custom_generate imports generate.py of the repository that it names.",
    remedy=READ_CODE, sources=("https://huggingface.co/docs/transformers/generation_strategies",),
)  # fmt: skip
def custom_generate(file: ConfigFile) -> Iterator[Hit]:
    """Find custom_generate and custom_pipeline with a repository or a path."""
    for path, key, value in file.members:
        if key in ("custom_generate", "custom_pipeline") and isinstance(value, str) and "/" in value:
            yield Hit(f"{file.path}:{path}", ascii(value[:200]))


@BOOK.rule(
    "path-escape", "high",
    title="a path leads out of the download",
    why="A loader that joins it to the folder reads files of the machine, or writes over them.",
    remedy=REFUSE, sources=("CWE-22",),
)  # fmt: skip
def path_escape(file: ConfigFile) -> Iterator[Hit]:
    """Find ways up and the system's own folders under keys that name files."""
    for path, key, value in file.members if file.name in _LOADED else ():
        named = isinstance(value, str) and len(value) <= MAX_PATH and _PATH_KEYS.fullmatch(key)
        if named and "name_or_path" not in key and _ESCAPE.fullmatch(str(value)):
            yield Hit(f"{file.path}:{path}", ascii(value))


def is_dangerous(target: str) -> bool:
    """Return whether a dotted name is one of something that runs commands or loads code."""
    return bool(_DANGEROUS.fullmatch(target.strip()[:400]))


def _code_maps(file: ConfigFile) -> Iterator[tuple[str, str, object]]:
    for path, key, value in file.members:
        pieces = re.split(r"[.\[]", path)
        if ("auto_map" in pieces and isinstance(value, str)) or (
            "custom_pipelines" in pieces and key == "impl"
        ):
            yield path, key, value


def _in_attention(path: str, key: str) -> bool:
    # the value may be an object of sub-configurations
    pieces = re.split(r"[.\[]", path)
    return bool(_ATTENTION.fullmatch(key)) or any(_ATTENTION.fullmatch(piece) for piece in pieces[-3:])


def _is_index(file: ConfigFile) -> bool:
    return file.path.endswith(".index.json")
