"""Builders for signed releases: checkpoints, reports as the audit writes them, keys, policies."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qaudit.attest import Signed, sign
from qaudit.attest.dsse import Sealer
from qaudit.attest.local_key import KeyKind, generate_key
from qaudit.checkpoints.digests import combined_digest
from qaudit.suites.loading import load_suite
from qaudit.values import FileDigest

NOW = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)
POLICY_TEXT = "name: house\nversion: 1\nrules:\n  - {id: rtsi, metric: rtsi.risk, op: in, value: [LOW]}\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_rows(checkpoint: Path) -> list[dict[str, Any]]:
    """The report's list of files, made without qaudit's own listing."""
    if checkpoint.is_file():
        found = {checkpoint.name: checkpoint.read_bytes()}
    else:
        found = {
            path.relative_to(checkpoint).as_posix(): path.read_bytes()
            for path in sorted(checkpoint.rglob("*"))
            if path.is_file()
            and checkpoint / ".qaudit" not in path.parents
            and path != checkpoint / "model.sig"
        }
    return [{"path": n, "size": len(d), "sha256": sha256(d)} for n, d in sorted(found.items())]


def report_for(checkpoint: Path, policy: bytes, status: str = "pass") -> dict[str, Any]:
    """A whole report that its own figures bear out, under a policy with the rule of `POLICY_TEXT`."""
    paired = {
        "reference": {"rate": 0.93, "n": 120, "ci95": [0.87, 0.96], "undecided": 0, "labels": {}},
        "candidate": {"rate": 0.92, "n": 120, "ci95": [0.86, 0.95], "undecided": 0, "labels": {}},
        "delta": -0.01,
        "delta_ci95": [-0.04, 0.02],
        "pairs": 120,
        "lost": 2,
        "gained": 1,
        "at_risk": 112,
        "mcnemar_p": 1.0,
        "mde": 0.06,
    }
    rows = file_rows(checkpoint)
    files = [FileDigest(row["path"], row["size"], row["sha256"]) for row in rows]
    core = load_suite("core")
    candidate = {
        "path": str(checkpoint),
        "format": "gguf",
        "quantization": "Q4_K_M",
        "architecture": "llama",
        "parameters": 3600000,
        "sha256": combined_digest(files),
        "files": rows,
    }
    reference_file = {"path": "f16.gguf", "size": 3, "sha256": "b" * 64}
    reference = {**candidate, "path": "f16.gguf", "quantization": "F16", "sha256": "b" * 64}
    risk = {"pass": "LOW", "fail": "HIGH"}.get(status)
    outcome = {"rule": "rtsi", "threshold": "in [LOW]", "status": status, "why": "-", "metric": "rtsi.risk"}
    rtsi = {
        "score": 0.1,
        "risk": risk,
        "calibration": "published",
        "reference_refusals": 112,
        "candidate_refusals": 111,
        "note": "",
        "contributions": {},
    }
    first_token = {
        "n": 120,
        "flips": 3,
        "flip_rate": 0.025,
        "ci95": [0.01, 0.07],
        "safety_n": 112,
        "safety_flips": 1,
    }
    return {
        "schema": "qaudit/report/v1",
        "tool": {"name": "qaudit", "version": "0.1.0"},
        "created": "2026-08-01T10:00:00Z",
        "duration_s": 12.5,
        "seed": 0,
        "checkpoint": candidate,
        "reference": {**reference, "files": [reference_file]},
        "engine": {"name": "llama.cpp", "version": "b1", "device": "cpu", "threads": 2, "build": "avx2"},
        "suites": [{"name": "core", "version": core.version, "sha256": core.sha256, "items": 120}],
        "judge": {"name": "rules", "version": "1", "sha256": "d" * 64},
        "verdict": {
            "status": status,
            "regime": "neutral",
            "rules": [outcome | ({"observed": risk} if risk else {})],
            "policy": {"name": "house", "version": "1", "sha256": sha256(policy)},
        },
        "metrics": {
            "refusal": paired,
            "categories": {},
            "over_refusal": paired,
            "suites": {},
            "first_token": first_token,
            # what was not measured leaves the verdict open
            **({"rtsi": rtsi} if risk else {}),
            "unmeasured": [],
        },
        "findings": [],
        "evidence": {"responses": {"path": "responses.jsonl", "sha256": "e" * 64, "rows": 240}},
        "notes": [],
    }


@dataclass(frozen=True)
class Release:
    """A checkpoint with everything that is needed to sign it."""

    checkpoint: Path
    report: Path
    policy: Path
    key: Path
    public: Path

    def sign(self, **options: Any) -> Signed:
        options = {"policy": self.policy, "now": NOW, **options}
        return sign(self.checkpoint, report=self.report, key=self.key, **options)

    def sign_with(self, signer: Sealer, **options: Any) -> Signed:
        """Sign in another mode than the key's."""
        options = {"policy": self.policy, "now": NOW, **options}
        return sign(self.checkpoint, report=self.report, signer=signer, **options)

    def judged(self, status: str) -> "Release":
        """The same release with another verdict in a new report."""
        report = self.report.with_name(f"{status}.json")
        report.write_text(json.dumps(report_for(self.checkpoint, self.policy.read_bytes(), status)))
        return replace(self, report=report)

    def audited_again(self) -> "Release":
        """The same release with a report over the bytes that are there now."""
        return self.judged("pass")

    @property
    def bundle(self) -> Path:
        if self.checkpoint.is_dir():
            return self.checkpoint / ".qaudit" / "audit.sigstore.json"
        return self.checkpoint.with_name(self.checkpoint.name + ".sigstore.json")


def make_folder_checkpoint(folder: Path) -> Path:
    checkpoint = folder / "model"
    (checkpoint / "tokenizer").mkdir(parents=True)
    (checkpoint / "weights.gguf").write_bytes(b"GGUF" + bytes(range(256)) * 4)
    (checkpoint / "config.json").write_text('{"layers": 4}')
    (checkpoint / "tokenizer" / "vocab.txt").write_text("a\nb\n")
    return checkpoint


def make_file_checkpoint(folder: Path) -> Path:
    checkpoint = folder / "model.gguf"
    checkpoint.write_bytes(b"GGUF" + bytes(range(256)) * 4)
    return checkpoint


def make_release(folder: Path, *, single: bool = False, kind: KeyKind = "p256") -> Release:
    checkpoint = make_file_checkpoint(folder) if single else make_folder_checkpoint(folder)
    desk = folder / "desk"
    desk.mkdir()
    policy = desk / "house.yaml"
    policy.write_text(POLICY_TEXT)
    report = desk / "report.json"
    report.write_text(json.dumps(report_for(checkpoint, policy.read_bytes()), indent=2))
    key = desk / "key.pem"
    public = generate_key(key, kind)
    return Release(checkpoint, report, policy, key, public)
