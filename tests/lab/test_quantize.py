import ctypes
from pathlib import Path

import gguf
import llama_cpp
import pytest

from qaudit.errors import EngineFailure, InputError
from qaudit.lab.gguf_export import export_f16
from qaudit.lab.hf_weights import read_shape, read_weights
from qaudit.lab.quantize import FILE_TYPES, quantize, quiet_log


@pytest.fixture(scope="module")
def source(random_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantize") / "F16.gguf"
    weights = read_weights(random_folder)
    export_f16(path, random_folder, read_shape(random_folder), weights, member="F16", lab_version="1")
    return path


@pytest.mark.parametrize("file_type", FILE_TYPES)
def test_every_type(source: Path, tmp_path: Path, file_type: str, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / f"{file_type}.gguf"
    quantize(source, target, file_type, member=f"the {file_type}")
    assert capfd.readouterr() == ("", "")
    reader = gguf.GGUFReader(target)
    assert reader.fields["qaudit.lab.member"].contents() == f"the {file_type}"
    assert reader.fields["qaudit.lab.version"].contents() == "1"
    assert reader.fields["general.file_type"].contents() == FILE_TYPES[file_type]
    kinds = {t.name: t.tensor_type.name for t in reader.tensors}
    plain = file_type.removesuffix("-pure")
    assert kinds["blk.0.ffn_up.weight"] == plain.removesuffix("_S").removesuffix("_M")
    if plain != file_type:
        # every matrix in the one type, also those that the mixed recipe keeps at more bits
        assert {kind for name, kind in kinds.items() if "blk." in name and "norm" not in name} == {plain}
    assert list(tmp_path.iterdir()) == [target]


def test_fewer_bits_make_smaller_files(source: Path, tmp_path: Path) -> None:
    sizes = []
    for file_type in ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_S", "Q2_K"):
        quantize(source, tmp_path / file_type, file_type, member=file_type)
        sizes.append((tmp_path / file_type).stat().st_size)
    assert sizes == sorted(set(sizes), reverse=True)


def test_threads_do_not_change_the_bytes(source: Path, tmp_path: Path) -> None:
    for threads in (1, 2):
        quantize(source, tmp_path / str(threads), "Q4_K_M", member="x", threads=threads)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_damaged_source(tmp_path: Path, source: Path) -> None:
    damaged = tmp_path / "F16.gguf"
    damaged.write_bytes(source.read_bytes()[:3000])
    with pytest.raises(EngineFailure, match="Q8_0"):
        quantize(damaged, tmp_path / "Q8_0.gguf", "Q8_0", member="x")
    assert list(tmp_path.iterdir()) == [damaged]
    with pytest.raises(InputError, match="no such file"):
        quantize(tmp_path / "none.gguf", tmp_path / "x.gguf", "Q8_0", member="x")


def test_the_log_goes_back_to_whoever_had_it() -> None:
    def holder() -> int | None:
        callback, data = llama_cpp.llama_log_callback(), ctypes.c_void_p()
        llama_cpp.llama_log_get(ctypes.byref(callback), ctypes.byref(data))
        return ctypes.cast(callback, ctypes.c_void_p).value

    before = holder()
    with quiet_log():
        assert holder() != before
    assert holder() == before
