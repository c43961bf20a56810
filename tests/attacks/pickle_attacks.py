"""Pickles that would run something if they were loaded (STATIC 44); what they would run does nothing.

The streams are assembled opcode by opcode, so that no interpreter has to unpickle or even pickle them. Every
command is `true`, every evaluated text `1`.
"""

import base64
import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from attacks.cases import Attack, Builder, Content, of, one_file, whole_folder, written

STOP, REDUCE, MARK = b".", b"R", b"("
PROTO2, PROTO4 = b"\x80\x02", b"\x80\x04"


def short(text: str) -> bytes:
    """SHORT_BINUNICODE."""
    raw = text.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def unicode(text: str) -> bytes:
    """BINUNICODE."""
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def called(module: str, name: str, argument: str = "true") -> bytes:
    """Protocol 2: GLOBAL, one text, REDUCE."""
    return PROTO2 + f"c{module}\n{name}\n".encode() + unicode(argument) + b"\x85R."


def stacked(module: str, name: str, argument: str = "true") -> bytes:
    """Protocol 4: STACK_GLOBAL, one text, REDUCE, in a frame."""
    body = short(module) + short(name) + b"\x93" + short(argument) + b"\x85R."
    return PROTO4 + b"\x95" + struct.pack("<Q", len(body)) + body


def state(body: bytes) -> bytes:
    """A dictionary with a tensor's name and whatever `body` leaves on the stack."""
    return PROTO2 + b"}" + unicode("weight") + body + b"s."


SYSTEM = called("posix", "system")
HONEST = state(b"K\1")


def pickle_file(content: bytes, name: str = "model.pkl") -> Builder:
    """One file."""
    return one_file(name, content)


def torch_zip(
    payload: bytes,
    *,
    inside: str = "archive/data.pkl",
    method: int = zipfile.ZIP_STORED,
    more: dict[str, bytes] | None = None,
) -> bytes:
    """A zip as torch.save writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(inside, payload)
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/data/0", b"\0" * 64)
        archive.writestr("archive/version", b"3\n")
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return out.getvalue()


def _bad_crc() -> bytes:
    # the bytes stay; both sums that are kept of them are wrong
    return torch_zip(SYSTEM).replace(struct.pack("<I", zlib.crc32(SYSTEM)), b"\xde\xad\xbe\xef")


def _flag_bits(bits: int) -> bytes:
    data = bytearray(torch_zip(SYSTEM))
    data[6:8] = struct.pack("<H", bits)
    central = data.index(b"PK\1\2")
    data[central + 8 : central + 10] = struct.pack("<H", bits)
    return bytes(data)


def _local_name_differs() -> bytes:
    data = torch_zip(SYSTEM)
    return data.replace(b"archive/data.pkl", b"archive/data.txt", 1)


def _zip_with_prefix() -> bytes:
    return b"\x80\x02}q\0." + torch_zip(SYSTEM)


def _bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", HONEST)
        with archive.open("archive/data/0", "w", force_zip64=True) as stream:
            for _ in range(96):
                stream.write(b"\0" * (1 << 20))
    return out.getvalue()


def _many_members() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", HONEST)
        for i in range(30_000):
            archive.writestr(zipfile.ZipInfo(f"archive/d/{i}"), b"")
    return out.getvalue()


def _nested_zip(depth: int) -> bytes:
    data = torch_zip(SYSTEM)
    for level in range(depth):
        data = torch_zip(HONEST, more={f"archive/inner{level}.zip": data})
    return data


def _tar(names: dict[str, bytes], link: str = "", compressed: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz" if compressed else "w") as archive:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo("weights.bin")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return out.getvalue()


def npy(payload: bytes) -> bytes:
    """A numpy file whose elements are objects, that is, a pickle."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + payload


def _npz(payload: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("arr_0.npy", npy(payload))
    return out.getvalue()


def _seven_zip(payload: bytes) -> bytes:
    """A 7z with one member stored as it is, headers not compressed."""
    name = "data.pkl".encode("utf-16-le") + b"\0\0"
    streams = b"\6\0\1\x09" + bytes([len(payload)]) + b"\0"  # pack info: at 0, one stream, its size
    streams += b"\7\x0b\1\0\1\1\0\x0c" + bytes([len(payload)]) + b"\0" + b"\x08\0"
    files = b"\5\1\x11" + bytes([len(name) + 1]) + b"\0" + name + b"\0"
    header = b"\1\4" + streams + b"\0" + files + b"\0"
    start = struct.pack("<QQI", len(payload), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + payload + header


def _legacy_torch(payload: bytes) -> bytes:
    magic = PROTO2 + b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    version = PROTO2 + b"M\xe9\3."
    system = PROTO2 + b"}q\0" + unicode("little_endian") + b"\x88s."
    return magic + version + system + payload + PROTO2 + b"]."


def _case(name: str, builder: Builder, rules: str = "pickle/unsafe-global", *sources: str) -> Attack:
    return Attack(name, "pickle", builder, of(*rules.split()), ("item 44", *sources))


def _plain(
    name: str,
    module: str,
    function: str,
    *sources: str,
    argument: str = "true",
    rules: str = "pickle/unsafe-global",
) -> Attack:
    return _case(name, pickle_file(called(module, function, argument)), rules, *sources)


def _deep() -> bytes:
    return PROTO2 + b"(" * 100_000 + b"l" * 100_000 + b"."


def _memo_bomb() -> bytes:
    # each list holds the one before ten times
    body = b"]q\0"
    for i in range(1, 60):
        body += b"](" + b"h" + bytes([i - 1]) + (b"h" + bytes([i - 1])) * 9 + b"eq" + bytes([i])
    return PROTO2 + body + b"."


def _written_as(path: str, content: Content) -> Callable[[Path], Path]:
    return lambda folder: written(folder / path, content)


GLOBALS = [
    _plain("os-system", "os", "system"),
    _plain("posix-system", "posix", "system"),
    _plain("nt-system", "nt", "system"),
    _plain("subprocess-popen", "subprocess", "Popen"),
    _plain("subprocess-check-output", "subprocess", "check_output"),
    _plain("builtins-eval", "builtins", "eval", argument="1"),
    _plain("builtins-exec", "__builtin__", "exec", argument="1"),
    _plain("builtins-import", "builtins", "__import__", argument="this"),
    _plain("builtins-getattr", "builtins", "getattr"),
    _plain("builtins-open", "builtins", "open", argument="/dev/null"),
    _plain("importlib-import-module", "importlib", "import_module", argument="this"),
    _plain("runpy-run-path", "runpy", "run_path", argument="/dev/null"),
    _plain("pty-spawn", "pty", "spawn"),
    _plain("shutil-rmtree", "shutil", "rmtree", argument="/nonexistent"),
    _plain("socket-connect", "socket", "create_connection", argument=""),
    _plain("urllib-fetch", "urllib.request", "urlopen", argument="http://127.0.0.1:9/"),
    _plain("webbrowser-open", "webbrowser", "open", argument="about:blank"),
    _plain("pip-main", "pip", "main", "CVE-2025-1716", argument="--version"),
    _plain("pip-internal-main", "pip._internal.cli.main", "main", "CVE-2025-1716", argument="--version"),
    _plain("code-interpreter", "code", "InteractiveInterpreter.runcode", argument="1"),
    _plain("bdb-run", "bdb", "Bdb.run", argument="1"),
    _plain("profile-run", "cProfile", "run", argument="1"),
    _plain("timeit-run", "timeit", "timeit", argument="1"),
    _plain("trace-run", "trace", "Trace.run", argument="1"),
    _plain("doctest-debug", "doctest", "debug_script", argument="1"),
    _plain("asyncio-subprocess", "asyncio.unix_events", "_UnixSubprocessTransport._start", "CVE-2025-10157"),
    _plain("operator-attrgetter", "operator", "attrgetter", argument="system"),
    _plain("operator-methodcaller", "operator", "methodcaller", argument="system"),
    _plain("functools-partial", "functools", "partial"),
    _plain("types-codetype", "types", "CodeType"),
    _plain("marshal-loads", "marshal", "loads", argument=""),
    _plain("pickle-loads", "_pickle", "loads", argument=""),
    _plain("dill-load", "dill._dill", "_create_function", argument=""),
    _plain("cloudpickle-function", "cloudpickle.cloudpickle", "_builtin_type", argument="CodeType"),
    _plain("joblib-load", "joblib", "load", argument="/dev/null"),
    _plain("torch-load", "torch.serialization", "load", argument="/dev/null"),
    _plain("torch-hub-load", "torch.hub", "load", argument="a/b"),
    _plain("torch-jit-eval", "torch.jit.unsupported_tensor_ops", "execWrapper", argument="1"),
    _plain("torch-inductor-compile", "torch._inductor.codecache", "compile_file", argument=""),
    _plain("numpy-runstring", "numpy.testing._private.utils", "runstring", argument="1"),
    _plain("numpy-f2py", "numpy.f2py.crackfortran", "getlincoef", argument="1"),
    _plain("ctypes-load", "ctypes", "CDLL", argument=""),
    _plain("sys-modules", "sys", "modules"),
    _plain("a-module-nobody-knows", "evil_helper", "run", rules="pickle/unknown-global"),
    _plain("a-class-of-transformers", "transformers.pipelines", "pipeline", argument="x", rules="pickle/unknown-global"),
    _plain("a-word-like-torch", "torсh._utils", "_rebuild_tensor_v2", rules="pickle/unknown-global"),
    _plain("name-with-dots", "builtins", "str.__class__.__base__.__subclasses__"),
]  # fmt: skip

STREAMS = [
    _case("protocol-0-by-hand", pickle_file(b"cos\nsystem\n(S'true'\ntR.")),
    _case("protocol-1-instance", pickle_file(b"(S'true'\nios\nsystem\n.")),
    _case("protocol-2-object", pickle_file(PROTO2 + b"(cos\nsystem\n" + unicode("true") + b"o.")),
    _case("protocol-2-newobj", pickle_file(PROTO2 + b"csubprocess\nPopen\n" + unicode("true") + b"\x85\x81.")),
    _case("protocol-4-stack-global", pickle_file(stacked("os", "system"))),
    _case("protocol-4-newobj-ex", pickle_file(PROTO4 + short("subprocess") + short("Popen") + b"\x93" + short("true") + b"\x85}\x92.")),
    _case("stack-global-through-memo", pickle_file(PROTO4 + short("os") + b"\x94" + short("system") + b"\x940" + b"0h\0h\1\x93" + short("true") + b"\x85R.")),
    _case("stack-global-through-dup", pickle_file(PROTO4 + short("code") + b"2\x93" + short("true") + b"\x85R.")),
    _case("stack-global-through-long-memo", pickle_file(PROTO4 + short("os") + b"r\xff\xff\0\0" + b"0" + short("system") + b"q\7" + b"0j\xff\xff\0\0h\7\x93" + short("true") + b"\x85R.")),
    _case("stack-global-of-tuple-parts", pickle_file(PROTO4 + short("nt") + short("posix") + b"0" + b"0" + short("posix") + short("system") + b"\x93" + short("true") + b"\x85R.")),
    _case("stack-global-made-by-join", pickle_file(PROTO4 + short("builtins") + short("str.join") + b"\x93" + short("") + b"(" + short("o") + short("s") + b"l\x86R" + short("system") + b"\x93" + short("true") + b"\x85R."), "pickle/computed-import"),
    _case("names-in-bytes", pickle_file(PROTO4 + b"\x8d" + struct.pack("<Q", 2) + b"os" + b"\x8d" + struct.pack("<Q", 6) + b"system" + b"\x93" + short("true") + b"\x85R.")),
    _case("global-after-build", pickle_file(PROTO2 + b"ccollections\nOrderedDict\n)R}" + unicode("a") + b"cos\nsystem\nsb.")),
    _case("extension-code", pickle_file(PROTO2 + b"\x82\1" + unicode("true") + b"\x85R."), "pickle/computed-import"),
    _case("persistent-id", pickle_file(b"Pos.system\n."), "pickle/persistent-id"),
    _case("dictionary-hides-a-call", pickle_file(state(b"cposix\nsystem\n" + unicode("true") + b"\x85R"))),
    _case("call-then-broken-stream", pickle_file(SYSTEM[:-1] + b"\xff\xff\xff"), "pickle/unsafe-global", "CVE-2025-10156"),
    _case("call-then-no-stop", pickle_file(SYSTEM[:-1]), "pickle/unsafe-global"),
    _case("call-then-empty-stack", pickle_file(SYSTEM[:-1] + b"000000R."), "pickle/unsafe-global"),
    _case("junk-before-the-call", pickle_file(PROTO2 + b"N0" * 5000 + SYSTEM[2:])),
    _case("second-pickle-calls", pickle_file(HONEST + SYSTEM)),
    _case("tenth-pickle-calls", pickle_file(HONEST * 9 + SYSTEM)),
    _case("pickle-in-pickle-bytes", pickle_file(PROTO4 + b"\x8e" + struct.pack("<Q", len(SYSTEM)) + SYSTEM + b".")),
    _case("pickle-in-base64", pickle_file(PROTO4 + b"c_pickle\nloads\ncbase64\nb64decode\n" + unicode(base64.b64encode(SYSTEM).decode()) + b"\x85R\x85R.")),
    _case("length-past-end", pickle_file(PROTO4 + b"\x8e" + struct.pack("<Q", 1 << 60) + b"x"), "pickle/broken-stream"),
    _case("frame-past-end", pickle_file(PROTO4 + b"\x95" + struct.pack("<Q", 1 << 50) + stacked("os", "system")[11:])),
    _case("number-of-a-million-digits", pickle_file(PROTO2 + b"I" + b"9" * 1_000_000 + b"\n."), "pickle/broken-stream"),
    _case("marks-100000-deep", pickle_file(_deep()), "pickle/broken-stream"),
    _case("memo-bomb", pickle_file(_memo_bomb()), "pickle/expansion"),
    _case("memo-index-huge", pickle_file(PROTO2 + b"Nr\xff\xff\xff\x7f."), "pickle/broken-stream"),
]  # fmt: skip

PLACES = [
    _case("called-pt", pickle_file(SYSTEM, "model.pt")),
    _case("called-ckpt", pickle_file(SYSTEM, "model.ckpt")),
    _case("called-bin", pickle_file(SYSTEM, "pytorch_model.bin")),
    _case("called-joblib", pickle_file(SYSTEM, "model.joblib")),
    _case("called-dat", pickle_file(SYSTEM, "weights.dat"), "pickle/unsafe-global", "CVE-2025-1889"),
    _case("called-nothing", pickle_file(SYSTEM, "weights"), "pickle/unsafe-global", "CVE-2025-1889"),
    _case("called-text", pickle_file(b"cos\nsystem\n(S'true'\ntR.", "notes.txt"), "pickle/unsafe-global", "CVE-2025-1889"),
    _case("called-json", pickle_file(SYSTEM, "config.json"), "pickle/unsafe-global", "CVE-2025-1889"),
    _case("random-state", whole_folder({"rng_state.pth": torch_zip(SYSTEM)}), "pickle/unsafe-global", "CVE-2026-1839"),
    _case("training-arguments", whole_folder({"training_args.bin": torch_zip(SYSTEM)})),
    _case("optimizer-in-subfolder", whole_folder({"checkpoint-1/optimizer.pt": torch_zip(SYSTEM)})),
    _case("torch-legacy", pickle_file(_legacy_torch(SYSTEM), "model.pth")),
    _case("torch-zip", one_file("pytorch_model.bin", lambda: torch_zip(SYSTEM)), "pickle/unsafe-global", "CVE-2025-32434"),
    _case("torch-zip-deflated", one_file("pytorch_model.bin", lambda: torch_zip(SYSTEM, method=zipfile.ZIP_DEFLATED))),
    _case("torch-zip-bad-crc", one_file("model.pt", _bad_crc), "pickle/unsafe-global", "CVE-2025-10156"),
    _case("torch-zip-encrypted-flag", one_file("model.pt", lambda: _flag_bits(1)), "pickle/unsafe-global", "CVE-2025-1945"),
    _case("torch-zip-odd-flags", one_file("model.pt", lambda: _flag_bits(0x20)), "pickle/unsafe-global", "CVE-2025-1945"),
    _case("torch-zip-local-name-differs", one_file("model.pt", _local_name_differs), "pickle/unsafe-global", "CVE-2025-1944"),
    _case("torch-zip-other-pickle-name", one_file("model.pt", lambda: torch_zip(HONEST, more={"archive/extra/stuff": SYSTEM})), "pickle/unsafe-global", "CVE-2025-1889"),
    _case("torch-zip-after-a-pickle", one_file("model.pt", _zip_with_prefix)),
    _case("torch-zip-with-code", one_file("model.pt", lambda: torch_zip(HONEST, more={"archive/code/__torch__.py": b"import os\nos.system('true')\n"})), "code/runs-commands"),
    _case("torch-zip-holds-a-library", one_file("model.pt", lambda: torch_zip(HONEST, more={"archive/lib.so": b"\x7fELF\2\1\1" + b"\0" * 57})), "archive/program"),
    _case("zip-in-zip-in-zip", one_file("model.pt", lambda: _nested_zip(3))),
    _case("zip-bomb", one_file("model.pt", _bomb), "archive/bomb"),
    _case("zip-of-30000-members", one_file("model.pt", _many_members), "archive/many-members"),
    _case("zip-climbs-out", one_file("model.zip", lambda: torch_zip(HONEST, more={"../../../../tmp/x": b"hi"})), "archive/path-traversal"),
    _case("zip-cut-short", one_file("model.pt", lambda: torch_zip(SYSTEM)[:-30])),
    _case("tar-with-pickle", one_file("model.tar", lambda: _tar({"data.pkl": SYSTEM}))),
    _case("tar-gz-with-pickle", one_file("model.tar.gz", lambda: _tar({"data.pkl": SYSTEM}, compressed="gz"))),
    _case("tar-climbs-out", one_file("model.tar", lambda: _tar({"../../x": b"hi"})), "archive/path-traversal"),
    _case("tar-links-out", one_file("model.tar", lambda: _tar({}, link="/etc/passwd")), "archive/link"),
    _case("nemo-with-pickle", one_file("model.nemo", lambda: _tar({"model_weights.ckpt": torch_zip(SYSTEM)}))),
    _case("gzip-of-pickle", one_file("model.pkl.gz", lambda: gzip.compress(SYSTEM, mtime=0))),
    _case("bzip2-of-pickle", one_file("model.pkl.bz2", lambda: bz2.compress(SYSTEM))),
    _case("xz-of-pickle", one_file("model.pkl.xz", lambda: lzma.compress(SYSTEM))),
    _case("zlib-of-pickle", one_file("model.joblib", lambda: zlib.compress(SYSTEM))),
    _case("7z-with-pickle", one_file("model.7z", lambda: _seven_zip(SYSTEM)), "archive/opaque", "CVE-2025-1944"),
    _case("numpy-of-objects", one_file("embeddings.npy", lambda: npy(SYSTEM))),
    _case("numpy-zip-of-objects", one_file("embeddings.npz", lambda: _npz(SYSTEM))),
]  # fmt: skip

ATTACKS = [*GLOBALS, *STREAMS, *PLACES]
