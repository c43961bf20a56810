"""`realign.json` as `qaudit realign` writes it, as far as a signature reads it."""

from pathlib import Path
from typing import Any

from release_kit import file_rows


def realign_record(checkpoint: Path, arm: str = "realigned") -> dict[str, Any]:
    """The record of a realignment whose result `arm` is that checkpoint."""
    other = [{"path": "other.gguf", "size": 1, "sha256": "9" * 64}]
    arms = {"realigned": other, "plain": other, arm: file_rows(checkpoint)}
    made_of = {"path": "x", "format": "gguf", "sha256": "1" * 64, "size_bytes": 1}
    return {
        "schema": "qaudit/realign/v1",
        "tool": {"name": "qaudit", "version": "0.1.0"},
        "created": "2026-08-01T09:00:00Z",
        "duration_s": 9.5,
        "seed": 7,
        "target": "gguf:Q4_K_M",
        "method": {"asked": "auto", "chosen": "qrealign", "why": "refusals were lost"},
        "inputs": {
            "checkpoint": made_of,
            "reference": {**made_of, "sha256": "2" * 64},
            "made_of": "checkpoint",
            "calibration": {
                "sets": [{"name": "mild", "version": "1", "sha256": "3" * 64, "expectation": "refuse"}],
                "malicious": 8,
                "benign": 8,
            },
        },
        "arms": {name: {"checkpoint": {"files": rows}, "solver": "-"} for name, rows in arms.items()},
    }
