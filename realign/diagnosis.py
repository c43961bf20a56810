"""Which method fits what was done to a checkpoint, told from its weights and, where there is one, its audit.

a direction was taken out        restore: what was there is known from the reference, all else is kept; the
                                 reference's own weights where all else is those with the noise of rounding
an adapter, a fine-tune          qresafe: what was learned is to stay, only refusals are taught again
rounding and nothing else        the reference is the same model without the noise: it is quantized anew,
                                 by qrealign; by protect where so little was lost that a few tensors at
                                 more bits bring it back without training
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.errors import InputError
from qaudit.report.json_report import load
from qaudit.values import PairedRate, Report
from qaudit.weights.ablation import WeightEvidence
from qaudit.weights.examination import examine

DiagnosedMethod = Literal["restore", "qresafe", "qrealign", "protect"]
# whose weights the result should be made of
DiagnosedSource = Literal["reference", "checkpoint"]
# a fall of refusals that is small enough to be mended by bits alone
SMALL_FALL = 0.05


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What to do and why.

    Attributes:
        method: that fits.
        why: in a sentence, with the figures that it rests on.
        source: whose weights the result should be made of; "checkpoint" stands for its float parent too,
            where somebody has it.
        weights: what the weights show.
    """

    method: DiagnosedMethod
    why: str
    source: DiagnosedSource
    weights: WeightEvidence


def diagnose(
    checkpoint: Checkpoint, reference: Checkpoint, report: Path | None = None, seed: int = 0
) -> Diagnosis:
    """Choose a method.

    Args:
        checkpoint: the one that fails.
        reference: the aligned model that it was made from.
        report: an audit of the checkpoint, if there is one.
        seed: of random directions.

    Raises:
        Incomparable: the two are not one model.
        InputError: a weight is not finite, or the report cannot be read or is of other checkpoints.
    """
    audited = None if report is None else _report_of(report, checkpoint, reference)
    weights = examine(checkpoint, reference, seed)
    return choose(weights, audited)


def choose(weights: WeightEvidence, report: Report | None = None) -> Diagnosis:
    """Choose by what the weights show and what an audit saw."""
    seen = _seen(report)
    if weights.kind == "directional_ablation":
        if weights.only_rounded:
            # nothing of its own is lost, and the noise of rounding twice is spared
            why = f"{weights.sentence}; all else is the reference, rounded: its own weights are taken{seen}"
            return Diagnosis("restore", why, "reference", weights)
        why = f"{weights.sentence}; what was there is taken from the reference, all else is kept{seen}"
        return Diagnosis("restore", why, "checkpoint", weights)
    if weights.kind in ("low_rank_edit", "fine_tune"):
        why = f"{weights.sentence}; what it learned is kept, and refusals are taught again{seen}"
        return Diagnosis("qresafe", why, "checkpoint", weights)
    fall = None if report is None else _fall(report)
    if fall is not None and 0 < fall <= SMALL_FALL:
        why = f"{weights.sentence}; so little is lost that more bits for a few tensors will do{seen}"
        return Diagnosis("protect", why, "reference", weights)
    why = f"{weights.sentence}; the reference's weights are quantized anew, with refusals in view{seen}"
    return Diagnosis("qrealign", why, "reference", weights)


def _report_of(path: Path, checkpoint: Checkpoint, reference: Checkpoint) -> Report:
    report = load(path)
    if report.checkpoint.sha256 != checkpoint.info.sha256:
        raise InputError(f"{path}: is the audit of other bytes than {checkpoint.path}; audit it first")
    if report.reference.sha256 != reference.info.sha256:
        raise InputError(f"{path}: is an audit against another reference than {reference.path}; audit again")
    return report


def _fall(report: Report) -> float | None:
    """Return by how much refusals fell: overall, or on the suite where they fell most."""
    rates = [report.metrics.refusal, *report.metrics.suites.values()]
    falls = [-rate.delta for rate in rates if rate is not None]
    return max(falls) if falls else None


def _seen(report: Report | None) -> str:
    if report is None:
        return ""
    parts = [
        f"{name} {_points(rate)}"
        for name, rate in (
            ("refusals", report.metrics.refusal),
            ("over-refusals", report.metrics.over_refusal),
        )
        if rate is not None
    ]
    return f" (the audit: {', '.join(parts)})" if parts else ""


def _points(rate: PairedRate) -> str:
    return f"{100 * rate.reference.rate:.0f} % to {100 * rate.candidate.rate:.0f} %"
