"""Both formats give everything that the protocol promises, in the same types."""

from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from attacks.gguf_builder import small_model
from checkpoints.by_hand import stored, write_folder

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.errors import InputError

MEMBERS = [name for name in vars(Checkpoint) if not name.startswith("_")]


@pytest.fixture(params=["gguf", "safetensors"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Checkpoint:
    if request.param == "gguf":
        return GgufCheckpoint(small_model().write(tmp_path / "x.gguf"))
    weights = {
        "model.q_proj.weight": stored(np.eye(4, 8, dtype=np.float16)),
        "norm.weight": stored(np.ones(8, np.float32)),
    }
    folder = write_folder(tmp_path / "hf", weights)
    (folder / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')
    return HfCheckpoint(folder)


def test_the_protocol_lists_what_is_used() -> None:
    assert {"format", "path", "info", "names", "rows", "shape", "types", "tokenizer_digest"} <= set(MEMBERS)


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member_is_there(checkpoint: Checkpoint, name: str) -> None:
    assert hasattr(type(checkpoint), name) or name in vars(checkpoint)


def test_values_have_the_promised_types(checkpoint: Checkpoint) -> None:
    assert checkpoint.format in ("gguf", "safetensors")
    assert isinstance(checkpoint.path, Path)
    for name in ("architecture", "quantization", "tokenizer_digest"):
        assert isinstance(getattr(checkpoint, name), get_type_hints(getattr(Checkpoint, name).fget)["return"])
    assert checkpoint.info.format == checkpoint.format
    assert checkpoint.info.parameters == checkpoint.parameters > 0
    assert checkpoint.info.bits_per_weight == pytest.approx(checkpoint.bits_per_weight, abs=1e-4)
    assert checkpoint.chat_template is None or isinstance(checkpoint.chat_template, str)
    assert all(isinstance(text, str) for item in checkpoint.special_tokens.items() for text in item)
    assert checkpoint.text("no such key") is None


def test_rows_and_shapes_agree(checkpoint: Checkpoint) -> None:
    assert set(checkpoint.types()) == set(checkpoint.names())
    for name in checkpoint.names():
        rows, columns = checkpoint.shape(name)
        whole = checkpoint.rows(name)
        assert whole.dtype == np.float32
        assert whole.shape == (rows, columns)
        np.testing.assert_array_equal(checkpoint.rows(name, 0, 1), whole[:1])
        assert checkpoint.rows(name, rows, rows).shape == (0, columns)
        with pytest.raises(InputError, match="rows"):
            checkpoint.rows(name, 0, rows + 1)
    with pytest.raises(InputError, match="no such"):
        checkpoint.shape("no such")


def test_a_file_that_is_written_to(checkpoint: Checkpoint) -> None:
    checkpoint.require_unchanged()
    file = checkpoint.path if checkpoint.path.is_file() else checkpoint.path / "model.safetensors"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(InputError, match="changed"):
        checkpoint.require_unchanged()
