"""What a file is: by its first bytes, and where these say nothing, by its name.

A name is a claim and bytes are a fact: a pickle called `model.gguf` is a pickle. `kind_of` says which
inspector looks at a file, `content_of` names what the bytes are, for rules that hold a name against them.
"""

import re
from typing import Final

from qaudit.static.folder_view import FileKind

HEAD_BYTES: Final = 4096  # what `kind_of` wants to see; less will do
MAX_SAFETENSORS_HEADER: Final = 100_000_000

# signature at offset 0 -> what it is; longer ones first where one begins another
_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"version https://git-lfs.github.com/spec/", "lfs-pointer"),
    (b"GGUF", "gguf"),
    (b"FUGG", "gguf"),
    (b"lmgg", "ggml"),
    (b"fmgg", "ggml"),
    (b"tjgg", "ggml"),
    (b"algg", "ggml"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x5d\x00\x00", "lzma"),
    (b"MSCF\x00\x00\x00\x00", "cab"),
    (b"!<arch>\n", "ar"),
    (b"\x7fELF", "elf"),
    (b"\xfe\xed\xfa\xce", "mach-o"),
    (b"\xfe\xed\xfa\xcf", "mach-o"),
    (b"\xce\xfa\xed\xfe", "mach-o"),
    (b"\xcf\xfa\xed\xfe", "mach-o"),
    (b"\xca\xfe\xba\xbe", "mach-o"),  # a universal binary, or Java's class: code both
    (b"\x00asm", "wasm"),
    (b"BC\xc0\xde", "llvm-bitcode"),
    (b"dex\n03", "dex"),
    (b"\x93NUMPY", "npy"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"%PDF-", "pdf"),
    (b"PAR1", "parquet"),
    (b"ARROW1\x00\x00", "arrow"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"OggS", "media"),
    (b"ID3", "media"),
    (b"fLaC", "media"),
    (b"#!", "script"),
)
_BY_FIRST_BYTE: Final[dict[bytes, list[tuple[bytes, str]]]] = {}
for _pair in _SIGNATURES:
    _BY_FIRST_BYTE.setdefault(_pair[0][:1], []).append(_pair)
_RIFF: Final = {b"WEBP": "image", b"WAVE": "media", b"AVI ": "media"}
_ARCHIVES: Final = frozenset(
    {"7z", "rar", "gzip", "xz", "bzip2", "zstd", "lz4", "lzma", "cab", "tar", "zlib"}
)
_NATIVE: Final = frozenset({"elf", "pe", "mach-o", "wasm", "llvm-bitcode", "dex", "ar"})
_KIND_OF_CONTENT: Final[dict[str, FileKind]] = {
    "lfs-pointer": "lfs-pointer",
    "gguf": "gguf",
    "ggml": "ggml",
    "zip": "zip",
    "safetensors": "safetensors",
    "pickle": "pickle",
    "npy": "pickle",
    "script": "script",
    **dict.fromkeys(_ARCHIVES, "archive"),
    **dict.fromkeys(_NATIVE, "native"),
    **dict.fromkeys(("image", "media", "pdf", "hdf5", "parquet", "arrow", "sqlite"), "other"),
}

PICKLE_SUFFIXES: Final = frozenset(
    {
        ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".pck", ".pcl", ".p", ".joblib", ".dill",
        ".cloudpickle", ".data", ".dat", ".mdl", ".sav", ".th", ".debug_pkl", ".npy", ".pt2", ".dump",
        ".pkt", ".state"
    }
)  # fmt: skip
# names under which loaders unpickle what they find; `.data` and `.dat` are as often something else
PICKLE_NAMES: Final = PICKLE_SUFFIXES - {".data", ".dat", ".dump", ".state", ".npy"}
NATIVE_SUFFIXES: Final = frozenset(
    {
        ".so", ".dll", ".dylib", ".pyd", ".exe", ".node", ".wasm", ".pyc", ".pyo", ".o", ".a", ".lib", ".sys",
        ".com", ".scr", ".class", ".jar", ".cubin", ".fatbin", ".hsaco", ".msi", ".elf", ".bundle", ".ko",
        ".xll", ".cpl"
    }
)  # fmt: skip
SCRIPT_SUFFIXES: Final = frozenset(
    {
        ".sh", ".bash", ".zsh", ".fish", ".csh", ".ksh", ".bat", ".cmd", ".ps1", ".psm1", ".vbs", ".vbe",
        ".js", ".mjs", ".cjs", ".jse", ".wsf", ".hta", ".pl", ".rb", ".php", ".lua", ".command", ".scpt",
        ".applescript", ".desktop", ".reg", ".lnk", ".url", ".inf", ".tcl", ".r", ".jl", ".ts", ".awk", ".mk",
        ".service", ".plist"
    }
)  # fmt: skip
_ARCHIVE_SUFFIXES: Final = frozenset(
    {
        ".tar", ".tgz", ".gz", ".xz", ".bz2", ".zst", ".7z", ".rar", ".lz4", ".lzma", ".txz", ".tbz2",
        ".nemo", ".z", ".cab", ".iso", ".img", ".dmg", ".deb", ".rpm", ".apk", ".mar", ".whl", ".egg", ".npz",
        ".keras", ".zip"
    }
)  # fmt: skip
_ZIP_SUFFIXES: Final = frozenset({".mar", ".whl", ".egg", ".npz", ".keras", ".zip", ".jar"})
_TOKENIZER_NAMES: Final = frozenset(
    {
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
        "tekken.json", "tokenizer.tiktoken", "qwen.tiktoken", "vocab.bpe", "encoder.json", "bpe.codes"
    }
)  # fmt: skip
_CONFIG_SUFFIXES: Final = (".json", ".yaml", ".yml", ".toml", ".ini", ".cfg")
_SCRIPT_NAMES: Final = frozenset(
    {
        "dockerfile", "containerfile", "makefile", "gnumakefile", "justfile", "vagrantfile", "jenkinsfile",
        "procfile", "rakefile", "autorun.inf", ".bashrc", ".bash_profile", ".profile", ".zshrc", ".envrc",
        ".gitconfig", ".gitmodules"
    }
)  # fmt: skip
_TEXT_SUFFIXES: Final = frozenset(
    {
        ".txt", ".rst", ".csv", ".tsv", ".log", ".html", ".htm", ".xml", ".css", ".jsonl", ".ndjson", ".svg",
        ".tex", ".srt", ".sha256", ".md5", ".sig", ".asc", ".pem", ".diff", ".patch"
    }
)  # fmt: skip
_TEXT_NAMES: Final = frozenset(
    {
        "license",
        "licence",
        "notice",
        "copying",
        "authors",
        "changelog",
        ".gitattributes",
        ".gitignore",
        "use_policy",
    }
)

_ZLIB_SUFFIXES: Final = frozenset({".z", ".zz", ".zlib", ".joblib", ".pkl", ".pickle"})

# an import of protocol 0, as it stands in a text: GLOBAL or INST, module, name
_TEXT_IMPORT: Final = re.compile(rb"[ci][A-Za-z_][\w.]{0,100}\n[A-Za-z_][\w.]{0,100}\n")
# what may stand before it: marks, containers, memo entries, numbers, quoted texts
_TEXT_LEAD: Final = re.compile(
    rb"(?:[(\]}l)d]|[pg]\d{1,9}\n|[IL]-?\d{1,20}L?\n|S'[^'\n]{0,200}'\n|S\"[^\"\n]{0,200}\"\n"
    rb"|V[^\n]{0,200}\np\d{1,9}\n)*+"
)
# what the first opcode of a pickle without a PROTO opcode can be, where it imports something
_TEXT_START: Final = frozenset(b"ci(]}IlLFSV)")
_OLD_OPCODES: Final = frozenset(
    b"(.012FIJKLMNPQRSTUVXabcdeghijlopqrstu}]G)\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f"
    b"\x90\x91\x92\x93\x94\x95\x96\x97\x98BC"
)


def kind_of(name: str, head: bytes) -> FileKind:
    """Return what a file is.

    Args:
        name: its path in the download.
        head: its first bytes, `HEAD_BYTES` of them where there are so many.
    """
    content = content_of(head)
    leaf = name.replace("\\", "/").rpartition("/")[2].lower()
    if content is None and is_zlib(leaf, head):
        return "archive"
    if content == "script":  # a program's first line; Python keeps its own rules
        return "python" if b"python" in head.partition(b"\n")[0] or leaf.endswith(".py") else "script"
    if content is not None:
        return _KIND_OF_CONTENT[content]
    return _kind_by_name(leaf, head)


def content_of(head: bytes) -> str | None:
    """Return what bytes are by what they start with, such as `zip`, `elf` or `pickle`; None where unknown."""
    for signature, what in _BY_FIRST_BYTE.get(head[:1], ()):
        if head.startswith(signature):
            return what if _holds(what, head) else None
    if head[:2] == b"MZ" and _is_pe(head):
        return "pe"
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return "media"
    if is_tar_header(head):
        return "tar"
    if _is_pickle(head):
        return "pickle"
    length = int.from_bytes(head[:8], "little")
    if len(head) > 8 and head[8:9] == b"{" and 2 <= length <= MAX_SAFETENSORS_HEADER:
        return "safetensors"
    if head[257:262] == b"ustar":
        return "tar"
    return None


def is_zlib(name: str, head: bytes) -> bool:
    """Return whether a file is a zlib stream, which its two first bytes alone do not prove."""
    return suffix_of(name) in _ZLIB_SUFFIXES and head[:1] == b"\x78" and head[1:2] in b"\x01\x5e\x9c\xda"


def is_tar_header(block: bytes) -> bool:
    """Return whether 512 bytes are a tar's member: the sum of its bytes is written in it."""
    if len(block) < 512 or not block[0]:
        return False
    field = block[148:156].strip(b" \x00")
    if not field or not all(0x30 <= digit <= 0x37 for digit in field):
        return False
    return int(field, 8) == sum(block[:148]) + 8 * 32 + sum(block[156:512])


def suffix_of(name: str) -> str:
    """Return the last suffix of a path in lower case, with its dot; empty where there is none."""
    leaf = name.replace("\\", "/").rpartition("/")[2].lower()
    stem, dot, suffix = leaf.rpartition(".")
    return f".{suffix}" if dot and stem else ""


def _kind_by_name(leaf: str, head: bytes) -> FileKind:
    suffix = suffix_of(leaf)
    kind: FileKind
    if leaf in _TOKENIZER_NAMES or suffix == ".tiktoken":
        kind = "tokenizer"
    elif leaf == "chat_template.json" or suffix in (".jinja", ".jinja2", ".j2"):
        kind = "template"
    elif leaf.startswith("modelfile") or suffix == ".modelfile":
        kind = "modelfile"
    elif suffix in (".gguf", ".ggml", ".safetensors"):
        kind = "ggml" if suffix == ".ggml" else "gguf" if suffix == ".gguf" else "safetensors"
    elif suffix in (".py", ".pyw", ".pyi", ".pyx"):
        kind = "python"
    elif suffix == ".ipynb":
        kind = "notebook"
    elif leaf.startswith(("readme", "model_card", "modelcard")) or suffix in (".md", ".mdx", ".markdown"):
        kind = "readme"
    elif (
        leaf in _SCRIPT_NAMES
        or leaf.startswith(("dockerfile.", "containerfile."))
        or suffix in SCRIPT_SUFFIXES
    ):
        kind = "script"
    elif suffix in NATIVE_SUFFIXES:
        kind = "native"
    elif suffix in _CONFIG_SUFFIXES:
        kind = "config"
    elif suffix in PICKLE_NAMES:
        kind = "pickle"
    elif suffix in _ARCHIVE_SUFFIXES:
        kind = "zip" if suffix in _ZIP_SUFFIXES else "archive"
    elif suffix in _TEXT_SUFFIXES or leaf in _TEXT_NAMES:
        kind = "text"
    else:
        kind = "text" if head and b"\x00" not in head and _is_text(head) else "other"
    return kind


def _holds(what: str, head: bytes) -> bool:
    """Return whether what a short signature promises goes on as it must: raw numbers can begin so too."""
    if what == "bzip2":
        return head[4:10] == b"1AY&SY"
    if what == "lzma":
        size = int.from_bytes(head[5:13], "little")
        return int.from_bytes(head[1:5], "little").bit_count() == 1 and (
            size < 1 << 40 or size == (1 << 64) - 1
        )
    if what == "script":
        return head.partition(b"\n")[0].rstrip(b"\r").isascii() and b"/" in head[:80]
    return True


def _is_pe(head: bytes) -> bool:
    at = int.from_bytes(head[60:64], "little")
    return 64 <= at < HEAD_BYTES and head[at : at + 4] == b"PE\x00\x00"


def _is_pickle(head: bytes) -> bool:
    if len(head) > 2 and head[0] == 0x80 and head[1] <= 5 and head[2] in _OLD_OPCODES:
        return True
    if not head or head[0] not in _TEXT_START:
        return False
    lead = _TEXT_LEAD.match(head, 0, 2048)
    first = _TEXT_IMPORT.match(head, lead.end() if lead else 0)
    if first is None:
        return False
    # after the import something that is an opcode
    after = head[first.end() : first.end() + 1]
    return bool(after) and after in b"(.)}]SVUXIKJMNpqrRCBT\x8c\x85"


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and error.start > 0  # a character cut in two
    return True
