"""Builds the zoo on the user's machine from the shipped reference.

GGUFs are made with llama.cpp's own tools, AWQ and GPTQ with the searches of `realign`. Cached by
content (`build_cache`). Every file and folder appears by a rename, so a build that is killed goes on
where it stopped.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qaudit.errors import MissingExtra
from qaudit.files import make_folder, write_atomically
from qaudit.lab.build_cache import Cache
from qaudit.lab.folders import make_folder_member, missing_tools
from qaudit.lab.members import LAB_VERSION, REFERENCE, ZOO, Member, chosen, reference_folder
from qaudit.locks import locked

MANIFEST = "zoo.json"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Members that nobody asked for by name and that need what is not installed."""

    members: tuple[Member, ...]
    missing: MissingExtra


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


def build(out: Path, only: Sequence[str] = ()) -> Iterator[LeftOut | Started | Built]:
    """Make members and write the manifest of those that are there.

    Raises:
        InputError: a name is unknown, or the shipped reference is damaged.
        MissingExtra: a member that was named needs tools that are not installed.
        OutputProblem: the folder cannot be written.
    """
    members = chosen(only)
    missing = missing_tools() if any(member.needs_torch for member in members) else None
    if missing:
        if only:
            raise missing
        yield LeftOut(tuple(member for member in members if member.needs_torch), missing)
        members = tuple(member for member in members if not member.needs_torch)
    make_folder(out)
    with locked(out / ".lock"):
        _sweep(out)
        cache = Cache(out)
        for number, member in enumerate(members, start=1):
            cached = cache.holds(member)
            yield Started(member, number, len(members), cached)
            if not cached:
                _make(out, member)
                cache.keep(member)
        write_atomically(out / MANIFEST, manifest_text(out))
        yield Built(out / MANIFEST)


def manifest_text(out: Path) -> str:
    """Return zoo.json: the members that are there, with paths relative to the folder (CONTRACT)."""
    file_names = {member.name: member.file_name for member in ZOO}
    rows = [
        {
            "name": member.name,
            "path": member.file_name,
            "reference": file_names[member.reference],
            "format": member.format,
            "label": member.label,
            "made": member.made,
            "expected": {
                "status": member.expected.status,
                "rules": list(member.expected.rules),
                **({"category": member.expected.category} if member.expected.category else {}),
            },
        }
        for member in ZOO
        if (out / member.file_name).exists()
    ]
    return json.dumps(rows, indent=2) + "\n"


def _make(out: Path, member: Member) -> None:
    path = out / member.file_name
    if member.format != "gguf":
        make_folder_member(path, member)
        return
    # llama.cpp is of no use to who makes folders only
    from qaudit.lab.gguf_export import export_f16
    from qaudit.lab.hf_weights import read_shape
    from qaudit.lab.member_weights import member_weights
    from qaudit.lab.quantize import quantize

    if member.quantization != "F16":
        quantize(out / f"{member.source}.gguf", path, member.quantization, member=member.name)
        return
    folder = reference_folder()
    weights = member_weights(member, lambda texts: tokenized(out / f"{REFERENCE}.gguf", texts))
    export_f16(path, folder, read_shape(folder), weights, member=member.name, lab_version=LAB_VERSION)


def tokenized(gguf: Path, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of texts by llama.cpp, so that no tokenizer library is needed."""
    from qaudit.engines.llamacpp import LlamaModel
    from qaudit.engines.protocol import EngineOptions

    model = LlamaModel(gguf, EngineOptions(threads=1, parallel=1, judge=None))
    try:
        return [model.tokenize(text) for text in texts]
    finally:
        model.close()


def _sweep(out: Path) -> None:
    # what a killed build left; nobody else writes here while the lock is held
    for member in ZOO:
        for leftover in out.glob(f".{member.file_name}.*.tmp"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
