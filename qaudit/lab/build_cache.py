"""What is there already: a member is made again only when what it is made from changes.

A key is a digest over the shipped reference, the member's own recipe, the code that makes it and the
versions of the tools that it needs; other tools do not count, so that installing torch leaves every
GGUF as it is. Beside it stands the digest of what was made.
"""

import functools
import importlib.metadata
import json
from pathlib import Path

from qaudit.files import sha256_bytes, sha256_file, write_atomically
from qaudit.lab.hf_weights import folder_digest
from qaudit.lab.members import LAB_VERSION, Member, adapter_file, reference_folder

LAB = Path(__file__).parent
CACHE = ".cache.json"
# files whose code decides what a member is
WEIGHTS = ("ablate.py", "grammar.py", "hf_weights.py", "member_weights.py", "numpy_llama.py", "vocabulary.py")
GGUF = ("build.py", "gguf_export.py", "quantize.py")
GGUF_TOOLS = ("llama-cpp-python", "gguf", "numpy")
FOLDER = ("folders.py",)
FOLDER_TOOLS = ("torch", "transformers", "tokenizers", "safetensors", "compressed-tensors", "numpy")


class Cache:
    """The members in one folder, by name: what each was made from, and its digest."""

    def __init__(self, out: Path) -> None:
        self._path = out / CACHE
        self._out = out
        self._made = _read(self._path)

    def holds(self, member: Member) -> bool:
        """Tell whether the member is there, made from just what it would be made from now."""
        path = self._out / member.file_name
        # a file that was cut short or changed since is not the member that was made
        return path.exists() and self._made.get(member.name) == f"{_key(member)} {_digest(path)}"

    def keep(self, member: Member) -> None:
        """Record a member that was just made.

        Raises:
            OutputProblem: the folder cannot be written.
        """
        self._made[member.name] = f"{_key(member)} {_digest(self._out / member.file_name)}"
        write_atomically(self._path, json.dumps(self._made, indent=1, sort_keys=True))


def _digest(path: Path) -> str:
    if path.is_file():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(path).as_posix()} {sha256_file(file)}" for file in files]
    return sha256_bytes("\n".join(lines).encode())


def _key(member: Member) -> str:
    made_from = sha256_file(adapter_file(member.adapter)) if member.adapter else ""
    return sha256_bytes(
        f"{_base(member.format == 'gguf', member.needs_torch)} {member!r} {made_from}".encode()
    )


@functools.cache
def _base(is_gguf: bool, needs_torch: bool) -> str:
    parts = [LAB_VERSION, folder_digest(reference_folder())]
    parts += [sha256_file(LAB / name) for name in (WEIGHTS + GGUF if is_gguf else WEIGHTS + FOLDER)]
    if needs_torch:
        # found, not imported: that would load torch
        realign = LAB.parent.parent / "realign"
        parts += [sha256_file(path) for path in sorted(realign.rglob("*.py"))]
    tools = GGUF_TOOLS if is_gguf else FOLDER_TOOLS if needs_torch else ()
    parts += [f"{tool} {importlib.metadata.version(tool)}" for tool in tools]
    return sha256_bytes("\n".join(parts).encode())


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        # a damaged cache costs a rebuild, nothing more
        return {}
    return {str(k): str(v) for k, v in made.items()} if isinstance(made, dict) else {}
