"""Which ggml type llama.cpp gives each tensor of a mix such as Q4_K_M: asked of llama.cpp itself.

Its rules look at names, layers, heads and widths, and change between versions. So its quantizer is run
dry on a file that has a model's metadata and tensor table and, for data, a hole: nothing is read or
written but the table, whatever the model's size.
"""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gguf.constants import GGMLQuantizationType, LlamaFileType

from qaudit.checkpoints.gguf_split import read_split
from qaudit.errors import EngineFailure, InputError, MissingExtra
from realign.gguf_file import NewTensor, header_bytes

try:
    import llama_cpp
except ImportError as error:
    raise MissingExtra("llama-cpp-python", "gguf") from error

WEIGHT = ".weight"
_NO_OVERFLOW = 1 << 40  # bytes; a hole may be as large as a disk that has no room for it
# "[  2/ 29] token_embd.weight - [256, 1024, 1, 1], type = f16, size = 0.50 MiB -> 0.21 MiB (q6_K)"
_TENSOR = re.compile(r"\[ *\d+/ *\d+\] +(\S+) +- \[[^]]*\], type = *(\S+), ")
_CHANGED = re.compile(r"-> +[\d.]+ MiB \((\S+)\)")
_ERROR_LEVEL = 4


def file_type_number(name: str) -> int:
    """Return llama.cpp's number of a mix, for `general.file_type`.

    Raises:
        InputError: llama.cpp knows no such mix.
    """
    for prefix in ("MOSTLY_", "ALL_"):
        if f"{prefix}{name}" in LlamaFileType.__members__:
            return int(LlamaFileType[f"{prefix}{name}"])
    known = ", ".join(kind.name.removeprefix("MOSTLY_") for kind in LlamaFileType if "MOSTLY_" in kind.name)
    raise InputError(f"llama.cpp has no file type {name[:40]!r}; known: {known}")


def mixed_types(
    template: Path, file_type: str, *, pure: bool = False, importance: bool = False
) -> dict[str, str]:
    """Return the ggml type of every matrix, by GGUF module name.

    Args:
        template: a GGUF of the model in any type: its metadata and tensor table are looked at.
        file_type: such as "Q4_K_M".
        pure: every matrix in the one type, as `llama-quantize --pure`.
        importance: whether there is an importance matrix, on which some choices depend.

    Raises:
        InputError: no such file type, or the template is not readable.
        EngineFailure: llama.cpp does not know the model.
    """
    number = file_type_number(file_type)
    shards = read_split(template)
    tensors = [
        NewTensor(tensor.name, tensor.shape, "F32" if len(tensor.shape) == 1 else "F16")
        for shard in shards
        for tensor in shard.tensors
    ]
    with TemporaryDirectory(prefix="qaudit-types-") as folder:
        skeleton = Path(folder) / "model.gguf"
        # as float16: what is quantized already would be refused
        changed = {"general.file_type": int(LlamaFileType.MOSTLY_F16)}
        header, alignment = header_bytes(shards[0].path, tensors, changed)
        size = len(header) + sum(t.size + -t.size % alignment for t in tensors)
        if size > _NO_OVERFLOW:
            raise InputError(f"{template}: claims {size} bytes of weights; is it the right file?")
        with skeleton.open("wb") as stream:
            stream.write(header)
            stream.truncate(size)
        told = _run_dry(skeleton, number, pure=pure, importance=importance)
    found = _read(told)
    wanted = {tensor.name.removesuffix(WEIGHT) for tensor in tensors if len(tensor.shape) > 1}
    if not wanted <= set(found):
        raise EngineFailure(
            f"{template}: llama.cpp does not say which types it would use; report its version "
            f"({llama_cpp.__version__})"
        )
    return {name: found[name] for name in found if name in wanted}


def _read(told: str) -> dict[str, str]:
    heads = list(_TENSOR.finditer(told))
    ends = [head.start() for head in heads[1:]] + [len(told)]
    found = {}
    for head, end in zip(heads, ends, strict=True):
        changed = _CHANGED.search(told, head.end(), end)
        kind = (changed[1] if changed else head[2]).upper()
        if kind in GGMLQuantizationType.__members__:
            found[head[1].removesuffix(WEIGHT)] = kind
    return found


def _run_dry(source: Path, number: int, *, pure: bool, importance: bool) -> str:
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = number, 1
    parameters.pure, parameters.dry_run = pure, True
    one = (ctypes.c_float * 1)(1.0)
    given = (llama_cpp.llama_model_imatrix_data * 2)()
    given[0].name, given[0].size = b"none", 1
    given[0].data = ctypes.cast(one, ctypes.POINTER(ctypes.c_float))
    if importance:
        # that there is one is all that is looked at
        parameters.imatrix = ctypes.cast(given, type(parameters.imatrix))
    with _kept_log() as (lines, errors):
        status = llama_cpp.llama_model_quantize(
            os.fsencode(source), os.fsencode(source.with_suffix(".out")), ctypes.byref(parameters)
        )
    if status != 0:
        raise EngineFailure(
            f"llama.cpp cannot plan the file type ({'; '.join(errors) or 'no reason given'}); "
            "does it know the model's architecture?"
        )
    return "".join(lines)


@contextmanager
def _kept_log() -> Iterator[tuple[list[str], list[str]]]:
    """Take llama.cpp's log for a while: all of it, and its error lines; then give the log back."""
    lines: list[str] = []
    errors: list[str] = []

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore]
    def keep(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
        line = text.decode(errors="replace")
        lines.append(line)
        if level == _ERROR_LEVEL:
            errors.append(" ".join(line.split()))

    earlier, earlier_data = llama_cpp.llama_log_callback(), ctypes.c_void_p()
    llama_cpp.llama_log_get(ctypes.byref(earlier), ctypes.byref(earlier_data))
    llama_cpp.llama_log_set(keep, ctypes.c_void_p(0))
    try:
        yield lines, errors
    finally:
        llama_cpp.llama_log_set(earlier, earlier_data)
