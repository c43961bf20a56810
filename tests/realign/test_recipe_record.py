"""realign.json: written whole, read again, never with a figure that is none."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from qaudit.errors import QauditError  # noqa: E402
from qaudit.lab.members import reference_folder  # noqa: E402
from realign.job import CalibrationTokens, Step  # noqa: E402
from realign.recipe_record import (  # noqa: E402
    RECORD,
    SCHEMA,
    ArmRecord,
    arm_record,
    calibration_record,
    environment,
    peak_memory_bytes,
    remove_record,
    tokens_digest,
    write_record,
)
from realign.writers.verification import Verified  # noqa: E402

TOKENS = CalibrationTokens(((1, 2), (3,)), ((4, 5, 6),))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    record = {"schema": SCHEMA, "seed": 3, "losses": [0.1 + 0.2]}
    assert write_record(tmp_path, record) == tmp_path / RECORD
    assert json.loads((tmp_path / RECORD).read_text()) == record
    remove_record(tmp_path)
    remove_record(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_is_no_number_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(QauditError, match="not finite"):
        write_record(tmp_path, {"schema": SCHEMA, "loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_the_digest_is_of_order_and_side() -> None:
    known = {
        tokens_digest(tokens)
        for tokens in (
            TOKENS,
            CalibrationTokens(((3,), (1, 2)), ((4, 5, 6),)),
            CalibrationTokens(((1, 2),), ((3,), (4, 5, 6))),
        )
    }
    assert len(known) == 3
    found = calibration_record((), TOKENS)
    assert (found["malicious"], found["benign"], found["tokens"]) == (2, 1, 6)


def test_an_arm_tells_its_files_and_steps() -> None:
    step = Step("layer 0", {"x": torch.zeros(2)}, {"loss.after": 0.5}, 1.25)
    entropies = {"model.layers.0.mlp.up_proj": 3.83456}
    arm = ArmRecord(
        reference_folder(), "Plain()", [step], 1, 2.5, {"pairs": 3}, entropies, Verified(4, 0, 99, 0.0)
    )
    found = arm_record(arm)
    stored = sum(
        p.stat().st_size
        for p in reference_folder().iterdir()
        if p.name in {f["path"] for f in found["checkpoint"]["files"]}
    )
    assert found["checkpoint"]["size_bytes"] == stored
    assert len(found["checkpoint"]["sha256"]) == 64
    assert found["steps"] == [{"name": "layer 0", "losses": {"loss.after": 0.5}, "seconds": 1.25}]
    assert found["code_entropy_bits"] == {"model.layers.0.mlp.up_proj": 3.8346}
    assert (found["resumed_steps"], found["figures"], found["verified"]["exact"]) == (1, {"pairs": 3}, 4)


def test_what_computed_is_told() -> None:
    found = environment()
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert found["processor"]
    assert found["instructions"] == torch.backends.cpu.get_cpu_capability()
    # what steps are resumed by is stored as JSON
    assert json.loads(json.dumps(found)) == found
    if torch.cuda.is_available():
        assert found["cuda"]["device"] == torch.cuda.get_device_name()
        assert found["cuda"]["runtime"]
    assert peak_memory_bytes()["process"] > 50 << 20
