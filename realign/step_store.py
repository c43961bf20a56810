"""Steps of a solver on disk, so that a realignment that is killed goes on where it stopped, to the same bits.

A step is a safetensors file of its tensors and a JSON file that says what it is; the JSON is written
last and holds the digest of the tensors, so that a step is there whole or not at all. Beside them
`inputs.json` says what the steps were made from: steps of anything else are refused.
"""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qaudit.errors import InputError, MissingExtra, OtherAudit, OutputProblem
from qaudit.files import make_folder, read_bounded, sha256_bytes, sha256_file, write_atomically
from realign.job import Step

try:
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save
except ImportError as error:
    raise MissingExtra("safetensors", "hf") from error

LAYOUT = "qaudit/steps/v1"
INPUTS = "inputs.json"
MAX_JSON_BYTES = 4 << 20


class StepStore:
    """The steps of one solver for one job.

    Args:
        folder: where they lie; made, and without `resume` emptied.
        inputs: all that a step depends on, as JSON values by name: digests, options, versions.
        resume: go on after the steps that are there.

    Raises:
        OtherAudit: `resume` with steps that were made from other inputs.
        OutputProblem: the folder cannot be written.
    """

    def __init__(self, folder: Path, inputs: Mapping[str, Any], *, resume: bool) -> None:
        self._folder = folder
        told = {"layout": LAYOUT, **inputs}
        if resume and (folder / INPUTS).is_file():
            _require_same(folder / INPUTS, told)
        else:
            _remove(folder)
            make_folder(folder)
            write_atomically(folder / INPUTS, json.dumps(told, indent=2, sort_keys=True) + "\n")
        self._count = 0

    def load(self) -> tuple[Step, ...]:
        """Return the steps that are whole, in order.

        What comes after one that is missing or damaged is made again: it gives the same bits.
        """
        found: list[Step] = []
        while (step := self._read(len(found))) is not None:
            found.append(step)
        self._count = len(found)
        return tuple(found)

    def add(self, step: Step) -> None:
        """Store the next step; on return it is on disk.

        Raises:
            InputError: a loss is not a number, so that the solver has diverged.
            OutputProblem: the folder cannot be written.
        """
        wrong = next((name for name, loss in step.losses.items() if not math.isfinite(loss)), None)
        if wrong:
            raise InputError(
                f"{step.name[:80]}: {wrong[:80]} is {step.losses[wrong]}; is the checkpoint whole? "
                "another seed or method may do"
            )
        tensors, about = self._paths(self._count)
        raw = save({name: tensor.detach().cpu().contiguous() for name, tensor in step.tensors.items()})
        # an older step of that number must not pass for this one while its tensors are replaced
        _unlink(about)
        write_atomically(tensors, raw)
        told = {
            "name": step.name,
            "losses": dict(step.losses),
            "seconds": step.seconds,
            "sha256": sha256_bytes(raw),
        }
        write_atomically(about, json.dumps(told, indent=2) + "\n")
        self._count += 1

    def _paths(self, number: int) -> tuple[Path, Path]:
        name = f"{number:05d}"
        return self._folder / f"{name}.safetensors", self._folder / f"{name}.json"

    def _read(self, number: int) -> Step | None:
        tensors, about = self._paths(number)
        if not (tensors.is_file() and about.is_file()):
            return None
        try:
            told = json.loads(read_bounded(about, MAX_JSON_BYTES))
            if told["sha256"] != sha256_file(tensors):
                return None
            losses = {str(name): float(loss) for name, loss in told["losses"].items()}
            return Step(str(told["name"]), load_file(tensors), losses, float(told["seconds"]))
        except (ValueError, KeyError, TypeError, AttributeError, SafetensorError):
            return None


def _require_same(path: Path, inputs: Mapping[str, Any]) -> None:
    try:
        known = json.loads(read_bounded(path, MAX_JSON_BYTES))
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise OtherAudit(f"{path}: is not what a realignment leaves; run without --resume")
    # as JSON gives them back: tuples have become lists
    ours = json.loads(json.dumps(inputs))
    differing = [name for name in sorted(known.keys() | ours.keys()) if known.get(name) != ours.get(name)]
    if differing:
        raise OtherAudit(
            f"{path}: the steps there are of another realignment ({', '.join(differing[:6])[:200]} differ); "
            "run without --resume"
        )


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    try:
        # the inputs first: without them nothing says that the others may be gone on with
        (folder / INPUTS).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        raise _stays(folder, error) from error


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _stays(path, error) from error


def _stays(path: Path, error: OSError) -> OutputProblem:
    return OutputProblem(f"{path}: cannot be removed ({error.strerror}); choose another --out")
