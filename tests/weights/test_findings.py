from dataclasses import replace

import numpy as np
import pytest

from qaudit.weight_values import ComparedTensor, TensorState
from qaudit.weights.ablation import Kind, WeightEvidence
from qaudit.weights.findings import MOST_NAMED, VECTOR_ROLE, findings_of


def evidence(kind: Kind) -> WeightEvidence:
    return WeightEvidence(kind, f"the weights show {kind}", (0, 1, 2), 5.0, np.ones(4), ())


def tensor(name: str, state: TensorState, excess: float = 1.0, role: str = "up") -> ComparedTensor:
    return ComparedTensor(name, role, 0, "Q4_K", 2, 4, state, 0.1, 0.1, excess)


PLAIN = [tensor("a", "rounded"), tensor("b", "identical"), tensor("n", "folded", role=VECTOR_ROLE)]


@pytest.mark.parametrize("kind", ["identical", "rounding"])
def test_a_plain_quantization_makes_no_finding(kind: Kind) -> None:
    assert findings_of(evidence(kind), PLAIN, "m.gguf") == ((), kind, f"the weights show {kind}")


@pytest.mark.parametrize(
    ("kind", "state", "rule"),
    [
        ("directional_ablation", "ablated", "weights-differ/ablated"),
        ("low_rank_edit", "changed", "weights-differ/low-rank-edit"),
        ("fine_tune", "changed", "weights-differ/fine-tune"),
    ],
)
def test_what_was_done_to_the_whole_is_one_grave_finding(kind: Kind, state: TensorState, rule: str) -> None:
    tensors = [*PLAIN, *(tensor(f"blk.{n}", state) for n in range(MOST_NAMED + 2))]
    (finding,), told, sentence = findings_of(evidence(kind), tensors, "m.gguf")
    assert (finding.id, finding.severity, told) == (rule, "high", kind)
    assert finding.location == "m.gguf:blk.0"
    assert finding.evidence == (
        f"{sentence}: blk.0, blk.1, blk.2, blk.3, blk.4, blk.5, blk.6, blk.7 and 2 more"
    )


@pytest.mark.parametrize(("excess", "severity"), [(2.5, "medium"), (4.0, "high")])
def test_a_few_matrices_are_as_grave_as_they_are_far(excess: float, severity: str) -> None:
    found, kind, sentence = findings_of(evidence("rounding"), [*PLAIN, tensor("x", "changed", excess)], "m")
    assert [(f.id, f.severity) for f in found] == [("weights-differ/some-matrices", severity)]
    assert kind == "few_changes"
    assert sentence == f"1 of 4 tensors, up to {excess:.1f} times as far as rounding takes them: x"


def test_a_changed_vector_is_a_finding_of_its_own() -> None:
    vector = replace(tensor("output_norm", "changed", role=VECTOR_ROLE), distance=0.25, excess=None)
    (finding,), kind, sentence = findings_of(evidence("rounding"), [*PLAIN, vector], "m")
    assert (finding.id, finding.severity, kind) == ("weights-differ/vectors", "high", "few_changes")
    assert sentence.endswith(
        "off by up to 25 % of their length: output_norm; the matrices are the reference's, rounded"
    )


def test_an_ablated_model_that_was_changed_beside_it_has_both_findings() -> None:
    tensors = [tensor("x", "changed", 2.5), tensor("y", "ablated")]
    found, kind, _ = findings_of(evidence("directional_ablation"), tensors, "m")
    assert [f.id for f in found] == ["weights-differ/ablated", "weights-differ/some-matrices"]
    assert kind == "directional_ablation"
