"""Builds the zoo on the user's machine from the shipped reference, with llama.cpp's own tools.

Cached by content: a member is made again only when what it is made from changes (reference,
adapter, recipe, versions of the tools). Every file appears by a rename, so a build that is killed
goes on where it stopped.
"""

import fcntl
import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qaudit.engines.llamacpp import LlamaModel
from qaudit.engines.protocol import Conversation, EngineOptions
from qaudit.engines.templates import render_conversations
from qaudit.errors import OutputProblem
from qaudit.files import make_folder, sha256_bytes, sha256_file, write_atomically
from qaudit.lab import grammar
from qaudit.lab.ablate import Ablation, ablate
from qaudit.lab.gguf_export import export_f16
from qaudit.lab.hf_weights import Weights, apply_adapter, folder_digest, read_json, read_shape, read_weights
from qaudit.lab.members import LAB_VERSION, REFERENCE, ZOO, Member, adapter_file, chosen, reference_folder
from qaudit.lab.quantize import quantize

LAB = Path(__file__).parent
MANIFEST = "zoo.json"
CACHE = ".cache.json"
# files whose code decides what a member is
RECIPE = (
    "ablate.py", "build.py", "grammar.py", "gguf_export.py", "hf_weights.py", "numpy_llama.py", "quantize.py",
    "vocabulary.py",
)  # fmt: skip
TOOLS = ("llama-cpp-python", "gguf", "numpy")


@dataclass(frozen=True, slots=True)
class Started:
    """A member is being made (`cached`: it is there already)."""

    member: Member
    number: int
    total: int
    cached: bool


@dataclass(frozen=True, slots=True)
class Built:
    """The zoo is complete; `manifest` is its zoo.json."""

    manifest: Path


def build(out: Path, only: Sequence[str] = ()) -> Iterator[Started | Built]:
    """Make members and write the manifest of those that are there.

    Raises:
        InputError: a name is unknown, or the shipped reference is damaged.
        OutputProblem: the folder cannot be written.
    """
    members = chosen(only)
    make_folder(out)
    with _only_one(out):
        _sweep(out)
        cache = _read_cache(out)
        base = _base_digest()
        for number, member in enumerate(members, start=1):
            key = _key(member, base)
            path = out / member.file_name
            # a file that was cut short or changed since is not the member that was made
            cached = path.is_file() and cache.get(member.name) == f"{key} {sha256_file(path)}"
            yield Started(member, number, len(members), cached)
            if not cached:
                _make(out, member)
                cache[member.name] = f"{key} {sha256_file(path)}"
                write_atomically(out / CACHE, json.dumps(cache, indent=1, sort_keys=True))
        write_atomically(out / MANIFEST, manifest_text(out))
        yield Built(out / MANIFEST)


def manifest_text(out: Path) -> str:
    """Return zoo.json: the members that are there, with paths relative to the folder (CONTRACT)."""
    rows = [
        {
            "name": member.name,
            "path": member.file_name,
            "reference": f"{REFERENCE}.gguf",
            "format": "gguf",
            "label": member.label,
            "made": member.made,
            "expected": {
                "status": member.expected.status,
                "rules": list(member.expected.rules),
                **({"category": member.expected.category} if member.expected.category else {}),
            },
        }
        for member in ZOO
        if (out / member.file_name).is_file()
    ]
    return json.dumps(rows, indent=2) + "\n"


def _make(out: Path, member: Member) -> None:
    path = out / member.file_name
    if member.quantization == "F16":
        folder = reference_folder()
        shape = read_shape(folder)
        export_f16(path, folder, shape, _weights(out, member), member=member.name, lab_version=LAB_VERSION)
    else:
        quantize(out / f"{member.source}.gguf", path, member.quantization, member=member.name)


def _weights(out: Path, member: Member) -> Weights:
    weights = read_weights(reference_folder())
    if member.adapter:
        weights = apply_adapter(weights, adapter_file(member.adapter))
    return ablated(out, weights).weights if member.ablated else weights


def ablated(out: Path, weights: Weights) -> Ablation:
    """Remove the refusal direction, measured on the calibration prompts.

    Args:
        out: folder that holds the reference's GGUF, which tokenizes: no tokenizer library is needed.
        weights: of the model to ablate.
    """
    folder = reference_folder()
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    special = {"bos_token": read_json(folder / "tokenizer_config.json")["bos_token"]}
    model = LlamaModel(out / f"{REFERENCE}.gguf", EngineOptions(threads=1, parallel=1, judge=None))
    try:
        sides = []
        for prompts in grammar.calibration_prompts():
            conversations = [Conversation(str(i), (prompt,)) for i, prompt in enumerate(prompts)]
            rendered = render_conversations(template, conversations, special)
            sides.append([model.tokenize(r.text) for r in rendered])
    finally:
        model.close()
    harmful, harmless = sides
    return ablate(read_shape(folder), weights, harmful, harmless)


def _base_digest() -> str:
    parts = [LAB_VERSION, folder_digest(reference_folder())]
    parts += [sha256_file(LAB / name) for name in RECIPE]
    parts += [f"{tool} {importlib.metadata.version(tool)}" for tool in TOOLS]
    return sha256_bytes("\n".join(parts).encode())


def _key(member: Member, base: str) -> str:
    made_from = sha256_file(adapter_file(member.adapter)) if member.adapter else ""
    return sha256_bytes(f"{base} {member!r} {made_from}".encode())


def _read_cache(out: Path) -> dict[str, str]:
    path = out / CACHE
    if not path.is_file():
        return {}
    try:
        cache = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        # a damaged cache costs a rebuild, nothing more
        return {}
    return {str(k): str(v) for k, v in cache.items()} if isinstance(cache, dict) else {}


def _sweep(out: Path) -> None:
    # what a killed build left; nobody else writes here while the lock is held
    for member in ZOO:
        for leftover in out.glob(f".{member.file_name}.*.tmp"):
            leftover.unlink(missing_ok=True)


@contextmanager
def _only_one(out: Path) -> Iterator[None]:
    try:
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise OutputProblem(f"{out}: cannot write ({error.strerror}); choose another --out") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
