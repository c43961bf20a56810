"""A configuration out of a GGUF: the one that transformers would have had."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.model_sizes import read_sizes
from qaudit.checkpoints.rope_settings import llama3_factors, read_rope
from qaudit.errors import InputError
from qaudit.lab.members import reference_folder
from realign.gguf_config import config_of


class Altered(GgufCheckpoint):
    """A GGUF whose metadata, or tensors of factors, say something else."""

    def __init__(self, path: Path, factors: Any = None, **changed: Any) -> None:
        super().__init__(path)
        self.metadata = {**self.metadata, **{f"llama.{k}": v for k, v in changed.items()}}
        self._factors = factors

    def names(self) -> list[str]:
        return [*super().names(), *(["rope_freqs"] if self._factors is not None else [])]

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Any:
        return self._factors[None] if name == "rope_freqs" else super().rows(name, start, stop)


def test_the_lab_reference_has_the_configuration_of_its_folder(f16: Path) -> None:
    sizes = read_sizes(config_of(GgufCheckpoint(f16)))
    assert sizes == read_sizes(HfCheckpoint(reference_folder()).config)


def test_scaled_positions_are_told(f16: Path) -> None:
    linear = Altered(f16, **{"rope.scaling.type": "linear", "rope.scaling.factor": 4.0})
    assert config_of(linear)["rope_parameters"]["rope_type"] == "linear"
    yarn = Altered(f16, **{"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0})
    assert config_of(yarn)["rope_parameters"]["factor"] == 4.0


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_the_factors_of_llama_3_are_recognised(f16: Path, factor: float) -> None:
    plain = config_of(GgufCheckpoint(f16))
    given = {
        "rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_theta": plain["rope_parameters"]["rope_theta"],
    }  # fmt: skip
    factors = llama3_factors(read_rope({"rope_parameters": given}, "llama", plain["head_dim"]))
    assert len(np.unique(factors)) > 1
    assert config_of(Altered(f16, factors))["rope_parameters"] == given
    with pytest.raises(InputError, match="as a folder"):
        config_of(Altered(f16, factors * 1.5))


def test_an_unknown_architecture_is_refused(f16: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gguf = GgufCheckpoint(f16)
    monkeypatch.setitem(gguf.metadata, "general.architecture", "mamba")
    with pytest.raises(InputError, match="'mamba' is not realigned"):
        config_of(gguf)


def test_an_unknown_scaling_is_refused(f16: Path) -> None:
    with pytest.raises(InputError, match="rope scaling"):
        config_of(Altered(f16, **{"rope.scaling.type": "newest"}))
