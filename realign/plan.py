"""What a realignment will do and take, from file headers alone: tensors, bits, size, memory, time."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from realign.job import CalibrationTokens

FLOAT_BYTES = 4
# what searched rounding calibrates on beside prompts: tokens of a reply or a text at most, and texts
LONGEST, TEXTS = 64, 256
# passes of all prompts through the model that a method takes; backward counts as two
PASSES = {"plain": 4.0, "restore": 4.0, "protect": 40.0, "qrealign": 100.0, "qresafe": 100.0}
AWQ_PASSES = 40.0
# of the speed of a large product, what a model of many small operations reaches
EFFICIENCY = 0.35
PROBE_SIZE = 512
PROBE_S = 0.15
# errors of types that `protect` holds at once: as much as the model takes, of small ones all
LEAST_AT_ONCE = 1 << 30
TYPES_TRIED = 6
# torch and transformers before any weight
LIBRARIES_BYTES = 700 << 20


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A matrix or vector of the result.

    Attributes:
        name: as the models here name it.
        shape: of its weights.
        stored: in words ("4-bit g128", "Q4_K", "F16").
        size_bytes: in the file, scales and all.
    """

    name: str
    shape: tuple[int, ...]
    stored: str
    size_bytes: int

    @property
    def weights(self) -> int:
        """How many weights it has."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done.

    Attributes:
        target: as `--to` has it.
        method: chosen, not "auto".
        tensors: of the result.
        malicious, benign, tokens: what is calibrated on.
        memory_bytes: an estimate of the most that is held at once.
        seconds: an estimate of the time on this machine, audits left out.
        before_bytes: size of the failing checkpoint.
    """

    target: str
    method: str
    tensors: tuple[PlannedTensor, ...]
    malicious: int
    benign: int
    tokens: int
    memory_bytes: int
    seconds: float
    before_bytes: int

    @property
    def size_bytes(self) -> int:
        """Of all tensors of the result."""
        return sum(tensor.size_bytes for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits divided by weights."""
        weights = sum(tensor.weights for tensor in self.tensors)
        return 8 * self.size_bytes / weights if weights else 0.0

    def by_kind(self) -> dict[str, dict[str, float]]:
        """Return tensors, weights and bytes by how they are stored, most weights first."""
        tensors: Counter[str] = Counter()
        weights: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for tensor in self.tensors:
            tensors[tensor.stored] += 1
            weights[tensor.stored] += tensor.weights
            sizes[tensor.stored] += tensor.size_bytes
        return {
            stored: {"tensors": tensors[stored], "weights": count, "size_bytes": sizes[stored]}
            for stored, count in weights.most_common()
        }

    def record(self) -> dict[str, Any]:
        """Return the plan for `realign.json` and `--json`."""
        return {
            "target": self.target,
            "method": self.method,
            "calibration": {"malicious": self.malicious, "benign": self.benign, "tokens": self.tokens},
            "memory_bytes": self.memory_bytes,
            "seconds": round(self.seconds, 1),
            "size_bytes": self.size_bytes,
            "size_before_bytes": self.before_bytes,
            "bits_per_weight": round(self.bits_per_weight, 4),
            "stored": self.by_kind(),
            "tensors": [
                {
                    "name": t.name,
                    "shape": list(t.shape),
                    "stored": t.stored,
                    "bits_per_weight": round(8 * t.size_bytes / t.weights, 4) if t.weights else 0.0,
                }
                for t in self.tensors
            ],
        }


def make_plan(
    target: str,
    method: str,
    tensors: Sequence[PlannedTensor],
    prompts: CalibrationTokens,
    before_bytes: int,
    *,
    searches_scales: bool = False,
    baseline: bool = True,
    speed: float | None = None,
) -> Plan:
    """Estimate what a realignment takes.

    Two float32 models are held (what the result is made of, and the reference), the hidden states of
    all prompts three times (before and after a block, and the reference's), and for one matrix at a
    time its Hessian with two factors of it; protect holds gradients, and errors of types, besides. Time
    is that of the passes of the method and of the plain baseline, and of GPTQ's columns.

    Args:
        target: as `--to` has it.
        method: chosen.
        tensors: of the result.
        prompts: to calibrate on.
        before_bytes: size of the failing checkpoint.
        searches_scales: the plain baseline is AWQ's search, which runs blocks again and again.
        baseline: whether that is made besides.
        speed: operations a second; measured if it is left out.
    """
    matrices = [t.shape for t in tensors if len(t.shape) == 2]
    weights = sum(t.weights for t in tensors)
    rows = (*prompts.malicious, *prompts.benign)
    count = sum(len(row) for row in rows)
    width = max((shape[1] for shape in matrices), default=1)
    hidden = min((shape[1] for shape in matrices), default=1)
    memory = (
        LIBRARIES_BYTES
        + 2 * FLOAT_BYTES * weights
        + 3 * FLOAT_BYTES * count * hidden
        + 3 * FLOAT_BYTES * width * width
    )
    rounds = 1
    if method == "protect":
        model = FLOAT_BYTES * weights
        # hidden states of replies and texts too, once as they were and once as they are
        grown = count + LONGEST * (len(rows) + TEXTS)
        memory += model + min(errors_at_once(model), TYPES_TRIED * model)
        memory += FLOAT_BYTES * hidden * (4 * grown - 3 * count)
        rounds = -(-TYPES_TRIED * model // errors_at_once(model))
    plain = AWQ_PASSES if searches_scales else PASSES["plain"]
    passes = plain if baseline or method == "plain" else 0.0
    if method != "plain":
        passes += PASSES[method] * rounds
    columns = sum(2 * outputs * inputs * inputs for outputs, inputs in matrices if inputs <= 4 * hidden)
    operations = 2.0 * weights * count * passes + columns
    seconds = operations / ((speed or measured_speed()) * EFFICIENCY)
    return Plan(
        target,
        method,
        tuple(tensors),
        len(prompts.malicious),
        len(prompts.benign),
        count,
        memory,
        seconds,
        before_bytes,
    )


def errors_at_once(model_bytes: int) -> int:
    """Return how many bytes of rounding errors are held at once for a model of so many."""
    return max(LEAST_AT_ONCE, model_bytes)


def measured_speed(device: str = "cpu") -> float:
    """Return how many operations a second this machine does in a product of matrices; takes 0.2 s."""
    left = torch.ones(PROBE_SIZE, PROBE_SIZE, device=device)
    torch.mm(left, left)
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < PROBE_S or not done:
        torch.mm(left, left).sum().item()
        done += 1
    return 2.0 * PROBE_SIZE**3 * done / spent
