import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("llama_cpp")

from gguf.constants import LlamaFileType

from qaudit.checkpoints.gguf import read_gguf
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.errors import EngineFailure, InputError
from realign.gguf_file import write_gguf_file
from realign.grids.gguf_types import file_type_number, mixed_types


@pytest.mark.parametrize("name", ["Q4_K_M", "Q3_K_S", "Q2_K", "Q2_K-pure", "IQ4_XS", "Q8_0"])
def test_types_are_those_of_a_file_that_llama_cpp_made(member: Callable[[str], Path], name: str) -> None:
    checkpoint = GgufCheckpoint(member(name))
    told = mixed_types(member("F16"), name.removesuffix("-pure"), pure=name.endswith("-pure"))
    matrices = {module: kind for module, kind in checkpoint.types().items() if kind != "F32"}
    assert told == matrices
    # the type of the file that is looked at does not matter
    assert mixed_types(member(name), name.removesuffix("-pure"), pure=name.endswith("-pure")) == told


def test_an_importance_matrix_changes_choices(f16: Path) -> None:
    without, with_one = (mixed_types(f16, "IQ3_XXS", importance=given) for given in (False, True))
    assert (without["blk.0.ffn_down"], with_one["blk.0.ffn_down"]) == ("Q3_K", "IQ3_XXS")
    assert without["blk.0.ffn_up"] == with_one["blk.0.ffn_up"] == "IQ3_XXS"


def test_the_caller_keeps_its_log_and_its_folder(
    f16: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copy(f16, tmp_path / "f16.gguf"))
    mixed_types(copy, "Q4_K_M")
    assert [path.name for path in tmp_path.iterdir()] == ["f16.gguf"]
    assert capfd.readouterr() == ("", "")


def test_numbers_are_llama_cpps() -> None:
    assert file_type_number("Q4_K_M") == LlamaFileType.MOSTLY_Q4_K_M == 15
    assert file_type_number("F32") == LlamaFileType.ALL_F32 == 0
    with pytest.raises(InputError, match="no file type 'Q4_M'; known: F16"):
        file_type_number("Q4_M")


def test_a_model_that_llama_cpp_does_not_know(f16: Path, tmp_path: Path) -> None:
    write_gguf_file(tmp_path / "odd.gguf", f16, [], [], {"general.architecture": "nobody-knows"})
    assert read_gguf(tmp_path / "odd.gguf").metadata["general.architecture"] == "nobody-knows"
    with pytest.raises(EngineFailure, match=r"cannot plan the file type .*architecture"):
        mixed_types(tmp_path / "odd.gguf", "Q4_K_M")
