"""F16 GGUF -> quantized GGUF by llama.cpp's own quantizer, called in this process."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qaudit.errors import EngineFailure, InputError, MissingExtra, OutputProblem

try:
    import llama_cpp
except ImportError as error:
    raise MissingExtra("llama-cpp-python", "gguf") from error

FILE_TYPES = {
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q6_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
    "Q5_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "Q4_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "IQ4_XS": llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_XS,
    "Q3_K_S": llama_cpp.LLAMA_FTYPE_MOSTLY_Q3_K_S,
    "Q2_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_K,
    "Q2_K-pure": llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_K,
}
# as `llama-quantize --pure`: every matrix in the one type, no sensitive tensor kept at more bits
PURE = ("Q2_K-pure",)
MEMBER_KEY = b"qaudit.lab.member"
_ERROR_LEVEL = 4


def quantize(source: Path, target: Path, file_type: str, *, member: str, threads: int = 2) -> None:
    """Quantize one GGUF with llama.cpp, under a temporary name until it is complete.

    Args:
        source: F16 GGUF.
        target: the file to write.
        file_type: a key of FILE_TYPES.
        member: replaces `qaudit.lab.member`, which llama.cpp would copy from the source.
        threads: processor threads; they do not change the result.

    Raises:
        InputError: the source is not there.
        EngineFailure: llama.cpp refuses.
        OutputProblem: the file cannot be put in place.
    """
    if not source.is_file():
        raise InputError(f"{source}: no such file; build the F16 member first")
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = FILE_TYPES[file_type]
    parameters.nthread = threads
    parameters.pure = file_type in PURE
    # the array ends with an empty key
    overrides = (llama_cpp.llama_model_kv_override * 2)()
    overrides[0].tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_STR
    overrides[0].key = MEMBER_KEY
    overrides[0].value.val_str = member.encode()  # type: ignore[union-attr]
    parameters.kv_overrides = ctypes.cast(overrides, type(parameters.kv_overrides))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with quiet_log() as errors:
            status = llama_cpp.llama_model_quantize(
                os.fsencode(source), os.fsencode(temporary), ctypes.byref(parameters)
            )
        if status != 0:
            raise EngineFailure(
                f"{source}: llama.cpp cannot make it {file_type} ({'; '.join(errors) or 'no reason given'}); "
                "is there space, and is the F16 file whole?"
            )
        temporary.replace(target)
    except OSError as error:
        raise OutputProblem(f"{target}: cannot write ({error.strerror}); choose another place") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def quiet_log() -> Iterator[list[str]]:
    """Take llama.cpp's log for a while, keep its error lines, then give the log back.

    The log callback is global to the process: whoever had it before has it afterwards.
    """
    errors: list[str] = []

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore]
    def keep_errors(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
        if level == _ERROR_LEVEL:
            errors.append(" ".join(text.decode(errors="replace").split()))

    earlier, earlier_data = llama_cpp.llama_log_callback(), ctypes.c_void_p()
    llama_cpp.llama_log_get(ctypes.byref(earlier), ctypes.byref(earlier_data))
    llama_cpp.llama_log_set(keep_errors, ctypes.c_void_p(0))
    try:
        yield errors
    finally:
        llama_cpp.llama_log_set(earlier, earlier_data)
