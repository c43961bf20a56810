"""One small matrix of real lab checkpoints, run once: a good row, a bad one, and one that cannot be audited."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from qaudit.matrix.manifest import load_manifest
from qaudit.matrix.running import MatrixEvent, MatrixFinished, MatrixOptions, run_matrix

MANIFEST = """
defaults: {{reference: {lab}/F16.gguf, limit: 4, threads: 1, suites: [lab-core, lab-benign, lab-quality]}}
rows:
  - {{name: good, checkpoint: {lab}/Q8_0.gguf, series: gguf, label: clean, expected: {{status: inconclusive}}}}
  - {{name: bad, checkpoint: {lab}/ablated-Q4_K_M.gguf, label: ablated,
     expected: {{status: fail, rules: [suite-drop]}}}}
  - {{name: broken, checkpoint: broken.gguf, expected: {{status: pass}}}}
"""


@dataclass(frozen=True)
class SmallMatrix:
    manifest: Path
    out: Path
    events: list[MatrixEvent]

    @property
    def finished(self) -> MatrixFinished:
        last = self.events[-1]
        assert isinstance(last, MatrixFinished)
        return last


@pytest.fixture(scope="session")
def small_manifest(tmp_path_factory: pytest.TempPathFactory, member: Callable[[str], Path]) -> Path:
    lab = member("F16").parent
    for name in ("Q8_0", "ablated-Q4_K_M"):
        member(name)
    folder = tmp_path_factory.mktemp("manifest")
    (folder / "broken.gguf").write_bytes(b"no model at all")
    (folder / "matrix.yaml").write_text(MANIFEST.format(lab=lab), encoding="utf-8")
    return folder / "matrix.yaml"


@pytest.fixture(scope="session")
def small_matrix(tmp_path_factory: pytest.TempPathFactory, small_manifest: Path) -> SmallMatrix:
    out = tmp_path_factory.mktemp("matrix") / "out"
    events = list(run_matrix(load_manifest(small_manifest), MatrixOptions(out, jobs=2)))
    return SmallMatrix(small_manifest, out, events)
