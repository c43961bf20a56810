"""What can be chosen about a realignment besides its checkpoints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from realign.float_model import DeviceName

Method = Literal["auto", "plain", "qrealign", "qresafe", "protect", "restore"]


@dataclass(frozen=True, slots=True)
class RealignOptions:
    """How to realign.

    Attributes:
        to: format and bits of the result, such as "gguf:Q4_K_M" or "awq:g64".
        out: the file or folder to write.
        method: how; "auto" chooses from the diagnosis, "plain" is the baseline alone.
        parent: float weights that the checkpoint was quantized from, where somebody has them.
        calibration: names of shipped calibration sets or folders; empty for the default ones.
        evaluation: suites that the result will be audited on, beside those that ship; what calibrates must
            share nothing with them.
        limit: at most so many calibration prompts of each kind.
        report: an audit of the checkpoint, for the diagnosis.
        resume: go on with the steps that are there.
        dry_run: end after the plan.
        baseline: quantize plainly from the same weights too, to compare with.
        seed: of all randomness.
        threads: of the processor; results depend on it.
        device: where solvers compute.
        effort: of training, as a share of the steps that the method takes by itself; less is quicker and
            may reach less. Methods that do not train are what they are.
    """

    to: str
    out: Path
    method: Method = "auto"
    parent: str | Path | None = None
    calibration: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()
    limit: int | None = None
    report: Path | None = None
    resume: bool = False
    dry_run: bool = False
    baseline: bool = True
    seed: int = 0
    threads: int = 1
    device: DeviceName = "cpu"
    effort: float = 1.0

    @property
    def work(self) -> Path:
        """The folder beside the result for steps, baseline, audits and `realign.json`."""
        return self.out.with_name(f"{self.out.name}.realign")
