import json
from pathlib import Path

import pytest
from attest.realign_record import realign_record
from release_kit import make_file_checkpoint, sha256

from qaudit.attest.manifest import hash_files, list_files
from qaudit.attest.predicate import Quantization
from qaudit.attest.quantization import Making, gather
from qaudit.errors import GateFailure, InputError
from qaudit.values import FileDigest


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return make_file_checkpoint(tmp_path)


@pytest.fixture
def files(checkpoint: Path) -> tuple[FileDigest, ...]:
    return hash_files(list_files(checkpoint))


def test_nothing_but_the_type_is_known_without_being_told(
    checkpoint: Path, files: tuple[FileDigest, ...]
) -> None:
    assert gather(Making(), checkpoint, files, "Q4_K_M") == (Quantization(type="Q4_K_M"), None)


def test_quantizer_and_imatrix_as_the_signer_tells(
    checkpoint: Path, files: tuple[FileDigest, ...], tmp_path: Path
) -> None:
    matrix = tmp_path / "imatrix.dat"
    matrix.write_bytes(b"importance")
    found, recipe = gather(Making(quantizer="llama.cpp@b4512", imatrix=matrix), checkpoint, files, "Q4_K_M")
    assert recipe is None
    assert found.model_dump(exclude_none=True) == {
        "type": "Q4_K_M",
        "quantizer": {"name": "llama.cpp", "version": "b4512"},
        "imatrix": {"name": "imatrix.dat", "digest": {"sha256": sha256(b"importance")}},
    }


@pytest.mark.parametrize("text", ["llama.cpp", "@b1", "llama.cpp@", "", "two\nlines@1", "x" * 1001 + "@1"])
def test_a_quantizer_has_a_name_and_a_version(
    checkpoint: Path, files: tuple[FileDigest, ...], text: str
) -> None:
    with pytest.raises(InputError, match="--quantizer"):
        gather(Making(quantizer=text), checkpoint, files, "Q4_K_M")


def test_an_imatrix_that_is_not_there_or_oddly_named(
    checkpoint: Path, files: tuple[FileDigest, ...], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        gather(Making(imatrix=tmp_path / "none"), checkpoint, files, "Q4_K_M")
    odd = tmp_path / "im\x1b.dat"
    odd.write_bytes(b"x")
    with pytest.raises(InputError, match=r"--imatrix .*control characters"):
        gather(Making(imatrix=odd), checkpoint, files, "Q4_K_M")


def test_the_recipe_beside_the_checkpoint_or_named(
    checkpoint: Path, files: tuple[FileDigest, ...], tmp_path: Path
) -> None:
    raw = json.dumps(realign_record(checkpoint)).encode()
    named = tmp_path / "elsewhere.json"
    named.write_bytes(raw)
    found, kept = gather(Making(recipe=named), checkpoint, files, "Q4_K_M")
    assert kept == raw
    assert found.recipe is not None
    assert found.recipe.method == "qrealign"
    assert found.quantizer == found.recipe.tool
    with pytest.raises(InputError, match="the recipe says qaudit"):
        gather(Making(recipe=named, quantizer="llama.cpp@b1"), checkpoint, files, "Q4_K_M")
    work = tmp_path / "model.gguf.realign"
    work.mkdir()
    (work / "realign.json").write_bytes(raw)
    assert gather(Making(), checkpoint, files, "Q4_K_M") == (found, raw)
    checkpoint.write_bytes(b"GGUF again")
    with pytest.raises(GateFailure, match="other bytes"):
        gather(Making(), checkpoint, hash_files(list_files(checkpoint)), "Q4_K_M")


def test_claims_of_the_header_are_kept_where_they_are_plain_lines(
    checkpoint: Path, files: tuple[FileDigest, ...]
) -> None:
    claims = {
        "quantizer": "someone",
        "imatrix": "evil\x1b[2J",
        "imatrixDataset": "x" * 1001,
        "other": "unknown",
    }
    found, _ = gather(Making(claims=claims), checkpoint, files, "Q4_K_M")
    assert found.claims is not None
    assert found.claims.model_dump(exclude_none=True) == {"quantizer": "someone"}
    found, _ = gather(Making(claims={"imatrix": ""}), checkpoint, files, "Q4_K_M")
    assert found.claims is None
