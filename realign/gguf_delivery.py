"""Results as GGUF: llama.cpp's own choice of types, packed by a solver or by ggml's quantizer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gguf.constants import GGMLQuantizationType

from qaudit.checkpoints.codecs.ggml import BLOCKS
from qaudit.checkpoints.gguf_checkpoint import GgufCheckpoint
from qaudit.checkpoints.model_sizes import read_sizes
from qaudit.checkpoints.tensor_names import parameters
from qaudit.errors import EngineFailure, InputError
from realign.carried_over import GgufCarried
from realign.grids.ggml_quantizer import needs_importance
from realign.grids.grid import Grid
from realign.grids.target import Target, gguf_grids
from realign.job import Solution, Solver
from realign.plan import PlannedTensor
from realign.solvers.plain_gguf import PlainGgufSolver
from realign.solvers.safety_importance import SafetyImportance
from realign.superblock_linear import SuperblockLinear
from realign.writers.gguf import write_gguf
from realign.writers.verification import Verified, verify_gguf

FILE_TYPE, WEIGHT = "general.file_type", ".weight"
OF_BLOCKS = "blk."


class GgufDelivery:
    """A GGUF with the template's metadata.

    Args:
        target: llama.cpp's mix.
        template: a GGUF of the same model.
        config: what a config.json of the model says.
        kinds: ggml types that are other than llama.cpp's choice, by GGUF module name.
        carried: what is taken over of the template where it is not the reference; all where it is.

    Attributes:
        kinds: ggml type of each matrix.

    Raises:
        InputError: the template is not of a model that is known here, or a matrix outside of the blocks
            would have a type that it cannot have.
        EngineFailure: llama.cpp does not know it.
    """

    def __init__(
        self,
        target: Target,
        template: GgufCheckpoint,
        config: Mapping[str, Any],
        kinds: Mapping[str, str] | None = None,
        carried: GgufCarried | None = None,
    ) -> None:
        self.to = target.text
        self.searches_scales = False
        # how llama.cpp rounds inputs depends on where it runs
        self.input_bits: int | None = None
        self.template = template
        self.config = config
        self.carried = carried
        self.target = target
        self.kinds: dict[str, str] = {**_kinds(target, template.path), **(kinds or {})}
        _require_rounded_without_inputs(target, self.kinds)

    def planned(self) -> tuple[PlannedTensor, ...]:
        """Return every tensor of the result, from the template's headers."""
        types = self.template.types()
        found = []
        for module in self.template.names():
            rows, columns = self.template.shape(module)
            kind = types[module] if rows == 1 else self.kinds.get(module, types[module])
            block, size = BLOCKS[GGMLQuantizationType[kind]]
            shape = (rows, columns) if rows > 1 else (columns,)
            found.append(PlannedTensor(module, shape, kind, rows * columns // block * size))
        return tuple(found)

    def grids(self) -> Mapping[str, Grid]:
        """Return the grids of the linear layers of the blocks whose type has one."""
        return gguf_grids(self.kinds, self.config)

    def baseline(self) -> Solver:
        """Return ggml's own quantizer with an importance matrix."""
        return PlainGgufSolver(self._kinds_of_layers())

    def untrained(self) -> Solver | None:
        """Return ggml's quantizer with an importance that heeds refusals, where a type is a table."""
        kinds = self._kinds_of_layers()
        return None if kinds.keys() <= self.grids().keys() else SafetyImportance(kinds)

    def notes(self, path: Path) -> Sequence[str]:
        """Return what was taken over; llama.cpp reads what it writes itself."""
        del path
        return [self.carried.note] if self.carried else []

    def _kinds_of_layers(self) -> dict[str, str]:
        return {layer: self.kinds[module] for layer, module in self._places().items() if module in self.kinds}

    def _places(self) -> dict[str, str]:
        """Return the GGUF module of each matrix that has one of its own, by its name here."""
        sizes = read_sizes(self.config)
        listed = parameters(sizes, frozenset(self.template.names()), sizes.vocabulary)
        return {
            parameter.name.removesuffix(WEIGHT): parameter.sources[0].module
            for parameter in listed
            # one that shares a tensor of the GGUF with others is left to the writer
            if len(parameter.sources) == 1 and len(parameter.shape) == 2
        }

    def write(self, path: Path, parent: Any, solution: Solution) -> Verified:  # noqa: ANN401
        """Write, read again, compare."""
        floats = {name: value.detach() for name, value in parent.named_parameters()}
        carried = self.carried
        changed: dict[str, int | str] = {FILE_TYPE: self.target.file_type_number}
        if carried:
            changed.update(carried.changed)
        left_out = carried.left_out if carried else frozenset[str]()
        places = self._places()
        # a solver may have given some more bits
        chosen = {
            places[layer]: entry.ggml_type
            for layer, entry in solution.encoded.items()
            if layer in places and isinstance(entry, SuperblockLinear)
        }
        kinds = {**self.kinds, **chosen}
        write_gguf(
            path,
            self.template.path,
            kinds,
            solution,
            floats,
            self.config,
            changed=changed,
            left_out=left_out,
        )
        return verify_gguf(path, solution, floats, self.config)


def _require_rounded_without_inputs(target: Target, kinds: Mapping[str, str]) -> None:
    """Refuse now what ggml's quantizer would refuse when all is computed."""
    for module, kind in kinds.items():
        # an embedding has no inputs whose importance could be measured, nor has llama-imatrix
        if not module.startswith(OF_BLOCKS) and needs_importance(kind):
            raise InputError(
                f"--to {target.text}: {module} as {kind} needs an importance matrix, which only layers have; "
                f"choose gguf:{target.text.removeprefix('gguf:').removesuffix('-pure')}"
            )


def _kinds(target: Target, template: Path) -> dict[str, str]:
    try:
        return target.kinds(template)
    except EngineFailure:
        # some types cannot do without an importance matrix, and there will be one
        return target.kinds(template, importance=True)
