"""`qaudit weights`: two checkpoints in, what the weights of the one are beside the other's out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

import numpy as np

from qaudit import __version__
from qaudit.checkpoints.checkpoint import Checkpoint
from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.checkpoints.reference_precision import require_precise
from qaudit.errors import InputError, MalformedFile
from qaudit.findings import SEVERITIES, Finding, Severity, Status, ToolRef
from qaudit.processors import available_threads
from qaudit.weight_values import ComparedTensor, Uncompared, WeightMetrics, WeightsLook, WeightsMeasure
from qaudit.weights.ablation import gather
from qaudit.weights.compared_tensors import told_tensors
from qaudit.weights.coverage import readable, unpaired
from qaudit.weights.examination import norm_offset_of
from qaudit.weights.findings import RETUNED, findings_of
from qaudit.weights.folding import unfolded
from qaudit.weights.matrix_pairs import MatrixPair, pair_sides, sides_of
from qaudit.weights.residuals import measure_residual
from qaudit.weights.rounding import PLAIN, grid_of
from qaudit.weights.vectors import vector_evidence

WHOLE = "the whole checkpoint"
# a reference of fewer bits is quantized: 8-bit floats and Q8_0 have up to 8.5
FLOAT_BITS = 12.0
Told = Callable[[str], None]
_Compared = tuple[WeightsMeasure | None, tuple[Finding, ...], tuple[Uncompared, ...]]


def examine_weights(
    checkpoint: str | Path,
    reference: str | Path,
    *,
    fail_on: Severity = "high",
    threads: int | None = None,
    seed: int = 0,
) -> WeightsLook:
    """Say what was done to a checkpoint's weights; the same thing as `qaudit weights`.

    Args:
        checkpoint: a GGUF file, a folder in Hugging Face layout, or `hf://org/repo[@revision][/file]`.
        reference: the model that it is said to be made from, at 8 bits per weight or more; as above.
        fail_on: the least severity of a finding that makes the status `fail`.
        threads: matrices looked at at once; None for as many as there are processors.
        seed: of random directions.

    Raises:
        QauditError: see `look_at_weights`, and `qaudit.open_checkpoint`.
    """
    return look_at_weights(
        open_checkpoint(checkpoint), open_checkpoint(reference), fail_on=fail_on, threads=threads, seed=seed
    )


def look_at_weights(
    candidate: Checkpoint,
    reference: Checkpoint,
    *,
    fail_on: Severity = "high",
    threads: int | None = None,
    seed: int = 0,
    tell: Told | None = None,
) -> WeightsLook:
    """Compare the weights of two checkpoints that are open.

    Memory is that of a few blocks of rows (16 MiB each) a thread, whatever the size of the checkpoints; a
    matrix is read about ten times.

    Args:
        candidate: what is looked at.
        reference: what it is said to be made from.
        fail_on: the least severity of a finding that makes the status `fail`.
        threads: matrices looked at at once; None for as many as there are processors.
        seed: of random directions.
        tell: called with the name of each tensor that is read, from several threads.

    Raises:
        InputError: a weight is not finite, or a file was changed meanwhile.
        MalformedFile: a file is not what it says.
    """
    started = time.monotonic()
    measure, findings, left = _compared(candidate, reference, seed, threads or available_threads(), tell)
    # hashed last: what was compared is what has these digests, for both are held to what was opened
    infos = candidate.info, reference.info
    return WeightsLook(
        tool=ToolRef("qaudit", __version__),
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=round(time.monotonic() - started, 3),
        seed=seed,
        checkpoint=infos[0],
        reference=infos[1],
        status=_status(findings, left, fail_on),
        fail_on=fail_on,
        metrics=WeightMetrics(measure),
        findings=findings,
        uncompared=left,
    )


def _compared(
    candidate: Checkpoint, reference: Checkpoint, seed: int, threads: int, tell: Told | None
) -> _Compared:
    try:
        require_precise(reference)
        ours, theirs = sides_of(candidate, reference)
        stored = pair_sides(ours, theirs, str(candidate.path))
    except MalformedFile:
        raise
    except InputError as error:
        return None, (), (Uncompared(WHOLE, str(error)),)
    left = unpaired(ours, theirs, stored)
    stored, undecoded = readable(stored)
    left += undecoded
    if not any(pair.layer is not None and pair.shape[0] > 1 for pair in stored):
        return None, (), tuple(left)
    if tell is not None:
        stored = [_told(pair, tell) for pair in stored]
    offset = norm_offset_of(candidate)
    with np.errstate(all="ignore"):
        pairs = unfolded(stored, offset)
        grids = {pair.name: grid_of(candidate, pair.stored) for pair in stored}
        evidence = gather(pairs, grids, seed, threads)
        known = {pair.name for pair in pairs}
        vectors = vector_evidence([pair for pair in stored if not _is_packed(pair)], offset)
        rest = {
            pair.name: measure_residual(pair, grids[pair.name])
            for pair in stored
            if pair.name not in known and pair.name not in vectors
        }
    tensors = told_tensors(stored, evidence, vectors, rest, _packed_as(candidate))
    findings, kind, sentence = findings_of(evidence, tensors, candidate.path.name)
    left += [
        Uncompared(t.name, f"stored as {t.stored}, {_why_unjudged(t)}")
        for t in tensors
        if t.state == "unjudged"
    ]
    if kind == "fine_tune" and _coarser(reference, candidate):
        findings = tuple(f for f in findings if f.id != RETUNED.id)
        why = (
            f"the reference has {reference.bits_per_weight:.1f} bits per weight and the checkpoint "
            f"{candidate.bits_per_weight:.1f}: its own rounding hides what was done; give one with 16"
        )
        left.append(Uncompared(WHOLE, why))
    measure = WeightsMeasure(
        kind=kind,
        sentence=sentence,
        layers=evidence.layers,
        parameters=sum(tensor.rows * tensor.columns for tensor in tensors),
        tensors=tensors,
        pooled_gap=evidence.pooled_gap if isfinite(evidence.pooled_gap) else None,
    )
    return measure, findings, tuple(left)


def _is_packed(pair: MatrixPair) -> bool:
    """Whether a row of weights is a quantized matrix of one output, such as an expert's gate."""
    return pair.shape[0] == 1 and pair.stored not in PLAIN


def _why_unjudged(tensor: ComparedTensor) -> str:
    if tensor.excess is None:
        return "of which it is not known how far rounding takes a weight"
    return (
        f"its change has few directions ({tensor.edge_ratio or 0:.1f} times the edge of noise), as where a "
        "quantizer mends outputs of a few large inputs; an edit looks alike"
    )


def _packed_as(candidate: Checkpoint) -> str | None:
    """Return how a folder's packed modules are stored; their tensors' own type says nothing of it."""
    return candidate.quantization if isinstance(candidate, HfCheckpoint) and candidate.quantized else None


def _told(pair: MatrixPair, tell: Told) -> MatrixPair:
    read = pair.read

    def telling(start: int, stop: int) -> tuple[FloatArray, FloatArray]:
        tell(pair.name)
        return read(start, stop)

    return replace(pair, read=telling)


def _coarser(reference: Checkpoint, candidate: Checkpoint) -> bool:
    """Whether the reference is quantized and the checkpoint has more bits than it."""
    return reference.bits_per_weight < FLOAT_BITS and candidate.bits_per_weight > reference.bits_per_weight


def _status(findings: Sequence[Finding], left: Sequence[Uncompared], fail_on: Severity) -> Status:
    least = SEVERITIES.index(fail_on)
    if any(SEVERITIES.index(finding.severity) >= least for finding in findings):
        return "fail"
    return "inconclusive" if left else "pass"
