import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from changed_weights import pair_of
from sample_look import MATRICES

import qaudit
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.errors import InputError
from qaudit.files import sha256_file
from qaudit.lab.gguf_export import export_f16
from qaudit.lab.hf_weights import Weights, read_shape, read_weights
from qaudit.lab.members import reference_folder
from qaudit.report.plain_values import document_text
from qaudit.report.weights_schema import json_schema
from qaudit.weight_values import WeightsLook
from qaudit.weights import looking
from qaudit.weights.looking import look_at_weights
from qaudit.weights.rounding import GGML

Member = Callable[[str], Path]
UP = "model.layers.1.mlp.up_proj.weight"


def look(candidate: Path, reference: Path, threads: int = 1) -> WeightsLook:
    found = qaudit.examine_weights(candidate, reference, threads=threads)
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(document_text(found)))
    return found


def exported(path: Path, change: Callable[[Weights], None]) -> Path:
    folder = reference_folder()
    weights = dict(read_weights(folder))
    change(weights)
    export_f16(path, folder, read_shape(folder), weights, member="x", lab_version="1")
    return path


@pytest.mark.parametrize("name", ["F16", "Q4_K_M", "Q2_K-pure"])
def test_honest_files_pass(f16: Path, member: Member, name: str) -> None:
    found = look(member(name), f16)
    assert found.status == "pass"
    assert found.findings == found.uncompared == ()
    measure = found.metrics.weights
    assert measure is not None
    assert measure.kind == ("identical" if name == "F16" else "rounding")
    # every weight of it was compared
    assert measure.parameters == found.checkpoint.parameters
    assert found.checkpoint.sha256 == sha256_file(member(name))


@pytest.mark.parametrize("name", ["AWQ-g128", "GPTQ-2bit", "W4A16"])
@pytest.mark.parametrize("reference", ["F16", "hf-F16"])
def test_honest_folders_pass(member: Member, name: str, reference: str) -> None:
    pytest.importorskip("compressed_tensors")
    found = look(member(name), member(reference))
    assert found.status == "pass"
    assert found.metrics.weights is not None
    assert found.metrics.weights.parameters == found.checkpoint.parameters


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("ablated-Q4_K_M", "weights-differ/ablated"),
        ("eroded-Q8_0", "weights-differ/low-rank-edit"),
        ("selective-Q8_0", "weights-differ/low-rank-edit"),
    ],
)
def test_what_was_done_is_found(f16: Path, member: Member, name: str, rule: str) -> None:
    found = look(member(name), f16)
    assert found.status == "fail"
    assert [(f.id, f.severity) for f in found.findings] == [(rule, "high")]


def test_threads_do_not_change_a_figure(f16: Path, member: Member) -> None:
    one, four = (look(member("ablated-Q4_K_M"), f16, threads) for threads in (1, 4))
    assert one.metrics == four.metrics
    assert one.findings == four.findings


def test_one_matrix_that_was_edited_is_found(f16: Path, tmp_path: Path) -> None:
    def edit(weights: Weights) -> None:
        drawn = np.random.default_rng(0).standard_normal(weights[UP].shape)
        weights[UP] = weights[UP] + (0.2 * weights[UP].std() * drawn).astype(np.float32)

    found = look(exported(tmp_path / "x.gguf", edit), f16)
    assert found.status == "fail"
    assert [(f.id, f.location) for f in found.findings] == [
        ("weights-differ/some-matrices", "x.gguf:blk.1.ffn_up")
    ]
    assert found.metrics.weights is not None
    assert found.metrics.weights.kind == "few_changes"


def test_a_changed_norm_is_found(f16: Path, tmp_path: Path) -> None:
    def edit(weights: Weights) -> None:
        weights["model.norm.weight"] = weights["model.norm.weight"] * np.float32(1.5)

    found = look(exported(tmp_path / "x.gguf", edit), f16)
    assert [(f.id, f.location) for f in found.findings] == [("weights-differ/vectors", "x.gguf:output_norm")]
    assert found.status == "fail"


def test_a_reference_that_is_a_quantization_decides_nothing(f16: Path, member: Member) -> None:
    found = look(f16, member("Q4_K_M"))
    assert found.status == "inconclusive"
    assert found.metrics.weights is None
    assert "is a quantization itself" in found.uncompared[0].why


def test_a_reference_coarser_than_the_checkpoint_excuses_distance_and_says_so(f16: Path, q8: Path) -> None:
    found = look(f16, q8)
    assert (found.status, found.findings) == ("inconclusive", ())
    assert "its own rounding hides what was done" in found.uncompared[-1].why


def test_a_stored_type_of_unknown_rounding_is_no_pass(
    f16: Path, q8: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(GGML, "Q8_0")
    found = look(q8, f16)
    assert found.status == "inconclusive"
    assert len(found.uncompared) == 22
    assert "stored as Q8_0, of which it is not known how far rounding" in found.uncompared[0].why


def test_a_quantized_matrix_of_one_output_is_no_vector() -> None:
    row = np.linspace(-1, 1, 64)[None]
    assert looking._is_packed(pair_of("model.layers.0.mlp.shared_expert_gate", row, row, "U8"))
    assert not looking._is_packed(pair_of("model.layers.0.input_layernorm", row, row, "BF16"))
    assert not looking._is_packed(pair_of("model.layers.0.mlp.up_proj", np.eye(2), np.eye(2), "U8"))


@pytest.mark.parametrize(
    ("excess", "why"),
    [(None, "of which it is not known how far rounding"), (1.5, r"has few directions \(7\.0 times the edge")],
)
def test_each_tensor_that_is_not_judged_has_its_reason(excess: float | None, why: str) -> None:
    tensor = replace(MATRICES[0], state="unjudged", excess=excess, edge_ratio=7.0)
    assert re.search(why, looking._why_unjudged(tensor))


def test_another_model_is_inconclusive_and_a_weight_that_is_none_is_an_error(
    f16: Path, tmp_path: Path
) -> None:
    from attacks.gguf_builder import small_model

    other = look(small_model().write(tmp_path / "other.gguf"), f16)
    assert other.status == "inconclusive"
    assert other.metrics.weights is None

    def poison(weights: Weights) -> None:
        weights[UP] = np.full_like(weights[UP], np.nan)

    with pytest.raises(InputError, match=r"blk\.1\.ffn_up: the checkpoint's weights are not all finite"):
        look(exported(tmp_path / "x.gguf", poison), f16)


def test_the_least_severity_that_fails_can_be_chosen(f16: Path, member: Member) -> None:
    opened = open_checkpoint(member("ablated-Q4_K_M")), open_checkpoint(f16)
    read: set[str] = set()
    found = look_at_weights(*opened, fail_on="critical", threads=2, tell=read.add)
    assert found.status == "pass"
    assert found.fail_on == "critical"
    assert {tensor.name for tensor in found.metrics.weights.tensors} == read  # type: ignore[union-attr]


def test_a_file_that_changes_meanwhile_is_refused(
    f16: Path, member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "m.gguf"
    copy.write_bytes(member("Q4_K_M").read_bytes())
    gather = looking.gather

    def gathered(*given: object) -> object:
        found = gather(*given)  # type: ignore[arg-type]
        copy.write_bytes(copy.read_bytes())
        return found

    monkeypatch.setattr(looking, "gather", gathered)
    with pytest.raises(InputError, match="changed since it was opened"):
        look(copy, f16)
