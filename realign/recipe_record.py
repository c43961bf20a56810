"""`realign.json`: all that is needed to make the same checkpoint again, and what was measured on the way."""

import json
import platform
import re
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from qaudit import __version__
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.errors import InputError, OutputProblem
from qaudit.files import sha256_bytes, write_atomically
from qaudit.processors import processor_name
from qaudit.values import CheckpointInfo, Suite
from realign.job import CalibrationTokens, Step
from realign.writers.verification import Verified

SCHEMA = "qaudit/realign/v1"
RECORD = "realign.json"
PACKAGES = (
    "torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn", "safetensors",
    "compressed-tensors", "gguf", "llama-cpp-python", "triton",
)  # fmt: skip
DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """One checkpoint that was written.

    Attributes:
        path: where it lies.
        solver: what made it, with its options.
        steps: with their losses and seconds, as stored.
        resumed: how many of them were there before this run.
        seconds: that all its steps, writing and checking took, in this run and those before.
        figures: what the solver measured.
        code_entropy_bits: entropy of the codes of each quantized matrix, bits a code.
        verified: what of the file was read again and compared.
    """

    path: Path
    solver: str
    steps: Sequence[Step]
    resumed: int
    seconds: float
    figures: Mapping[str, Any]
    code_entropy_bits: Mapping[str, float]
    verified: Verified


def arm_record(arm: ArmRecord) -> dict[str, Any]:
    """Return what the record says of one checkpoint; hashes its files."""
    info = open_checkpoint(arm.path).info
    return {
        "checkpoint": info_record(info),
        "solver": arm.solver,
        "steps": [
            {"name": s.name, "losses": dict(s.losses), "seconds": round(s.seconds, 4)} for s in arm.steps
        ],
        "resumed_steps": arm.resumed,
        "seconds": round(arm.seconds, 3),
        "figures": dict(arm.figures),
        "code_entropy_bits": {name: round(bits, 4) for name, bits in arm.code_entropy_bits.items()},
        "verified": asdict(arm.verified),
    }


def info_record(info: CheckpointInfo) -> dict[str, Any]:
    """Return a checkpoint's identity with the size of its files."""
    return {**asdict(info), "size_bytes": sum(file.size for file in info.files)}


def calibration_record(sets: Sequence[Suite], tokens: CalibrationTokens) -> dict[str, Any]:
    """Return which prompts were calibrated on, and the digest of their tokens."""
    prompts = {"malicious": tokens.malicious, "benign": tokens.benign}
    return {
        "sets": [
            {"name": s.name, "version": s.version, "sha256": s.sha256, "expectation": s.expectation}
            for s in sets
        ],
        **{name: len(rows) for name, rows in prompts.items()},
        "tokens": sum(len(row) for rows in prompts.values() for row in rows),
        "tokens_sha256": tokens_digest(tokens),
    }


def tokens_digest(tokens: CalibrationTokens) -> str:
    """Return the SHA-256 of all prompts as tokens, in their order."""
    return sha256_bytes(json.dumps([tokens.malicious, tokens.benign]).encode())


def environment() -> dict[str, Any]:
    """Return what computed: library versions, the processor with what torch uses of it, and the card.

    Bits may differ between these; they are part of what steps are resumed by.
    """
    found: dict[str, Any] = {
        "qaudit": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if torch.cuda.is_available():
        found["cuda"] = {
            "device": torch.cuda.get_device_name(),
            "capability": ".".join(map(str, torch.cuda.get_device_capability())),
            "runtime": torch.version.cuda,
            "driver": _driver(),
        }
    return found


def _driver() -> str | None:
    """Return the version of NVIDIA's driver, where the system tells it."""
    try:
        told = DRIVER.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"Kernel Module\D*(\d+(?:\.\d+)+)", told)
    return found[1] if found else None


def peak_memory_bytes() -> dict[str, int]:
    """Return the most memory that this process has held, and torch on the card."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # kilobytes on Linux, bytes on macOS
    found = {"process": most if sys.platform == "darwin" else most * 1024}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.max_memory_allocated()
    return found


def now() -> str:
    """Return the time as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def write_record(folder: Path, record: Mapping[str, Any]) -> Path:
    """Write `realign.json` whole.

    Raises:
        OutputProblem: it cannot be written.
        InputError: a figure is not a number, which no JSON can hold.
    """
    try:
        text = json.dumps(record, indent=2, allow_nan=False)
    except ValueError as error:
        raise InputError(
            f"{folder / RECORD}: a figure is not finite ({error}); is the checkpoint whole?"
        ) from error
    write_atomically(folder / RECORD, text + "\n")
    return folder / RECORD


def remove_record(folder: Path) -> None:
    """Remove `realign.json` of an earlier run.

    Raises:
        OutputProblem: it cannot be removed.
    """
    try:
        (folder / RECORD).unlink(missing_ok=True)
    except OSError as error:
        raise OutputProblem(
            f"{folder / RECORD}: cannot be removed ({error.strerror}); choose another --out"
        ) from error
