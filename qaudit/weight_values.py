"""The values of a look at weights: what `qaudit weights` measured, found and could not compare.

Their JSON is `qaudit/weights/v1`; the parts that a report has too (`checkpoint`, `reference`,
`metrics.weights`, `findings`) have the same names there.
"""

from dataclasses import dataclass, field
from typing import Literal

from qaudit.findings import Finding, Severity, Status, ToolRef
from qaudit.values import CheckpointInfo

# what was done to a checkpoint, or to a part of it
WeightKind = Literal[
    "identical", "rounding", "directional_ablation", "low_rank_edit", "fine_tune", "few_changes"
]
# of one tensor; `folded`: a norm whose scale a quantizer moved into the matrices that read it, where it is
# measured; `unjudged`: it differs, and whether rounding would take it there is not known
TensorState = Literal["identical", "rounded", "folded", "ablated", "changed", "unjudged"]


@dataclass(frozen=True, slots=True)
class ComparedTensor:
    """One tensor of the checkpoint beside the reference's.

    Attributes:
        layer: its block, counted from 0; None outside the blocks.
        stored: the type that the checkpoint stores it as.
        distance: ||checkpoint - reference|| / ||reference||, Frobenius, scales of a quantizer undone.
        expected: the distance that rounding the reference to the stored type leaves.
        excess: distance over expected.
        edge_ratio: the strongest direction of the change over the strongest that noise has.
        strength: with which a direction was taken out of it; 1 for all of it.
    """

    name: str
    role: str
    layer: int | None
    stored: str
    rows: int
    columns: int
    state: TensorState
    distance: float
    expected: float | None = None
    excess: float | None = None
    edge_ratio: float | None = None
    strength: float | None = None


@dataclass(frozen=True, slots=True)
class WeightsMeasure:
    """What the weights show (`metrics.weights`).

    Attributes:
        kind: what was done.
        sentence: the same for a person, with the figures that say so.
        layers: in which a direction was taken out.
        pooled_gap: how far the writers' changes share one direction; 1 for none, absent without an end.
        parameters: weights that were compared.
        tensors: all that were compared, in the checkpoint's order.
    """

    kind: WeightKind
    sentence: str
    layers: tuple[int, ...]
    parameters: int
    tensors: tuple[ComparedTensor, ...]
    pooled_gap: float | None = None


@dataclass(frozen=True, slots=True)
class WeightMetrics:
    """The one metric of this document; absent where nothing could be compared."""

    weights: WeightsMeasure | None = None


@dataclass(frozen=True, slots=True)
class Uncompared:
    """A tensor, or the whole, of which it is not known whether it is the reference's, and the reason."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class WeightsLook:
    """What `qaudit weights` says of a checkpoint (schema qaudit/weights/v1).

    `status` is `fail` where a finding reaches `fail_on`, `inconclusive` where none does but something could
    not be compared, else `pass`. `claims` is what the checkpoint's own header says of its quantization.
    """

    tool: ToolRef
    created: str
    duration_s: float
    seed: int
    checkpoint: CheckpointInfo
    reference: CheckpointInfo
    status: Status
    fail_on: Severity
    metrics: WeightMetrics
    findings: tuple[Finding, ...]
    uncompared: tuple[Uncompared, ...]
    claims: dict[str, str] = field(default_factory=dict, hash=False)
    schema: Literal["qaudit/weights/v1"] = "qaudit/weights/v1"
