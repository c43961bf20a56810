"""What the weights show, as findings: one for each thing that was done, with the tensors that show it."""

from collections.abc import Sequence
from dataclasses import dataclass

from qaudit.findings import Finding, Severity
from qaudit.weight_values import ComparedTensor, WeightKind
from qaudit.weights.ablation import WeightEvidence, told_names
from qaudit.weights.residuals import EXCESS

MOST_NAMED = 8
# one matrix of an honest file may be farther off than its fellows; twice as far as any that was seen is not
GRAVE_EXCESS = 2 * EXCESS
VECTOR_ROLE = "vector"


@dataclass(frozen=True, slots=True)
class _Told:
    """What stands in a finding whatever the figures are."""

    id: str
    severity: Severity
    title: str
    remedy: str
    references: tuple[str, ...] = ()


_ABLATED = _Told(
    "weights-differ/ablated",
    "high",
    "a direction was taken out of the weights: this is no plain quantization of the reference",
    "use a quantization of the reference itself; `qaudit realign --method restore` puts the direction back",
    ("https://arxiv.org/abs/2406.11717",),
)
_TUNED = "use a quantization of the reference itself, or give the model that it was really made from"
_EDITED = _Told(
    "weights-differ/low-rank-edit",
    "high",
    "the weights were edited in a few directions: an adapter was merged in, or the model was tuned a little",
    _TUNED,
    ("https://arxiv.org/abs/2106.09685",),
)
RETUNED = _Told(
    "weights-differ/fine-tune",
    "high",
    "the weights are farther from the reference's than quantizing takes them: the model was trained further",
    _TUNED,
)
_SOME = _Told(
    "weights-differ/some-matrices",
    "medium",
    "a few matrices are farther from the reference's than quantizing takes them",
    "ask how it was made; an edit of a few matrices can plant a behaviour",
    ("https://arxiv.org/abs/2202.05262",),
)
_VECTORS = _Told(
    "weights-differ/vectors",
    "high",
    "norms or biases are not the reference's, which quantizing leaves alone",
    "ask how it was made; a bias can steer every reply",
)
_WHOLE = {"directional_ablation": _ABLATED, "low_rank_edit": _EDITED, "fine_tune": RETUNED}


def findings_of(
    evidence: WeightEvidence, tensors: Sequence[ComparedTensor], where: str
) -> tuple[tuple[Finding, ...], WeightKind, str]:
    """Return the findings, the gravest first, and what was done in a word and in a sentence.

    Args:
        evidence: of the matrices of blocks and tokens.
        tensors: everything that was compared, with its state.
        where: name of the checkpoint, for locations.
    """
    changed = [t for t in tensors if t.state == "changed" and t.role != VECTOR_ROLE]
    vectors = [t for t in tensors if t.state == "changed" and t.role == VECTOR_ROLE]
    findings: list[Finding] = []
    kind: WeightKind = evidence.kind
    sentence = evidence.sentence
    whole = _WHOLE.get(kind)
    if whole is not None:
        shown = [t for t in tensors if t.state == "ablated"] if whole is _ABLATED else changed
        findings.append(_finding(whole, where, shown, sentence))
    if changed and (whole is None or whole is _ABLATED):
        most = max(t.excess or 0.0 for t in changed)
        grave = most >= GRAVE_EXCESS
        text = (
            f"{len(changed)} of {len(tensors)} tensors, up to {most:.1f} times as far as rounding takes them"
        )
        findings.append(_finding(_SOME, where, changed, text, "high" if grave else None))
    if vectors:
        most = max(t.distance for t in vectors)
        text = f"{len(vectors)} vectors, off by up to {100 * most:.2g} % of their length"
        findings.append(_finding(_VECTORS, where, vectors, text))
    if whole is None and findings:
        kind, sentence = "few_changes", "; ".join(finding.evidence for finding in findings)
        if evidence.kind == "rounding" and not changed:
            sentence = f"{sentence}; the matrices are the reference's, rounded"
    return tuple(sorted(findings, key=lambda finding: finding.severity != "high")), kind, sentence


def _finding(
    told: _Told, where: str, shown: Sequence[ComparedTensor], text: str, severity: Severity | None = None
) -> Finding:
    names = [tensor.name for tensor in shown]
    location = f"{where}:{names[0]}" if names else where
    evidence = f"{text}: {told_names(names, MOST_NAMED)}" if names else text
    return Finding(
        told.id, severity or told.severity, told.title, location, evidence, told.remedy, told.references
    )
