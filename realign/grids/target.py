"""What a checkpoint is to become: `--to gguf:Q4_K_M`, `awq:g64`, `gptq:3bit`, `compressed-tensors:w8a8`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qaudit.checkpoints.model_sizes import read_sizes
from qaudit.checkpoints.tensor_names import parameters
from qaudit.errors import InputError
from realign.grids.grid import Grid
from realign.grids.group_grid import GroupGrid
from realign.grids.superblock_grid import SuperblockGrid
from realign.grids.superblock_layouts import LAYOUTS

TargetFormat = Literal["gguf", "awq", "gptq", "compressed-tensors"]
EXAMPLES = (
    "gguf:Q4_K_M, gguf:Q2_K-pure, awq, awq:g64, gptq, gptq:3bit, compressed-tensors, compressed-tensors:w8a8"
)
PURE = "-pure"
WEIGHT = ".weight"
_OPTION = re.compile(
    r"(?P<bits>[2-8])bit|g(?P<group>[1-9][0-9]{0,4}|-1)|(?P<symmetry>a?sym)|(?P<scheme>w[48]a(16|8))"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A format with its number of bits.

    Attributes:
        text: as it was asked for.
        format: of the checkpoint.
        grid: of every linear layer in a folder; None for a GGUF.
        eight_bit_inputs: whether inputs are rounded too, to 8 bits as they come (w8a8).
        file_type: llama.cpp's name of the mix; None for folders.
        pure: every matrix of the GGUF in the one type.
    """

    text: str
    format: TargetFormat
    grid: GroupGrid | None = None
    eight_bit_inputs: bool = False
    file_type: str | None = None
    pure: bool = False

    def kinds(self, template: Path, *, importance: bool = False) -> dict[str, str]:
        """Return the ggml type of every matrix, by GGUF module name, as llama.cpp would choose it.

        Args:
            template: a GGUF of the model, of any type.
            importance: whether there is an importance matrix.

        Raises:
            InputError: not a GGUF target, or the template is not readable.
            EngineFailure: llama.cpp does not know the model.
            MissingExtra: llama.cpp is not installed.
        """
        if self.file_type is None:
            raise InputError(f"--to {self.text} has no ggml types")
        # llama.cpp is of no use to who writes folders
        from realign.grids.gguf_types import mixed_types

        return mixed_types(template, self.file_type, pure=self.pure, importance=importance)

    @property
    def file_type_number(self) -> int:
        """`general.file_type` of the GGUF.

        Raises:
            InputError: not a GGUF target.
        """
        if self.file_type is None:
            raise InputError(f"--to {self.text} has no ggml types")
        from realign.grids.gguf_types import file_type_number

        return file_type_number(self.file_type)

    def grids(self, inputs: Mapping[str, int]) -> dict[str, Grid]:
        """Return the grid of each linear layer of a folder.

        Args:
            inputs: the layers to quantize, by module name, with the number of their inputs.

        Raises:
            InputError: a GGUF target (see `gguf_grids`), or inputs that are not whole groups.
        """
        if self.grid is None:
            raise InputError(f"--to {self.text}: its grids are those of its ggml types")
        for name, count in inputs.items():
            try:
                self.grid.groups_of(count)
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
        return dict.fromkeys(inputs, self.grid)


def gguf_grids(kinds: Mapping[str, str], config: Mapping[str, Any]) -> dict[str, Grid]:
    """Return the grids of all matrices, by transformers' module name.

    Embeddings and the output matrix are among them: at few bits what they lose must be known to whoever
    trains the layers between. Matrices whose type has no scales to learn (tables, floats) are left out:
    ggml's quantizer makes them.

    Args:
        kinds: ggml type by GGUF module name.
        config: the model's config.json.

    Raises:
        InputError: a model that is not known beside a GGUF, or parts of a layer that have several types.
    """
    sizes = read_sizes(config)
    found: dict[str, Grid] = {}
    for parameter in parameters(sizes, frozenset(kinds), sizes.vocabulary):
        used = {kinds.get(source.module, "") for source in parameter.sources}
        if len(parameter.shape) != 2 or not used & set(LAYOUTS):
            continue
        if len(used) > 1:
            raise InputError(f"{parameter.name}: its parts have the types {', '.join(sorted(used))}")
        found[parameter.name.removesuffix(WEIGHT)] = SuperblockGrid(used.pop())
    return found


def parse_target(text: str) -> Target:
    """Read what `--to` says.

    Raises:
        InputError: an unknown format, type or option.
    """
    name, _, rest = text.partition(":")
    options = [option for option in rest.split(":") if option]
    if name == "gguf":
        return _gguf(text, options)
    given = _given(text, options)
    scheme = given.pop("scheme", None)
    if scheme and name != "compressed-tensors":
        raise InputError(f"--to {text}: {scheme} is a scheme of compressed-tensors")
    if name == "awq":
        if given.keys() - {"group"}:
            raise InputError(f"--to {text}: AWQ has 4 bits and a zero for each group; give at most a group")
        return Target(text, "awq", GroupGrid(4, int(given.get("group", 128)), symmetric=False))
    if name == "gptq":
        bits = int(given.get("bits", 4))
        if bits not in (2, 3, 4, 8):
            raise InputError(f"--to {text}: GPTQ has 2, 3, 4 or 8 bits")
        # with four codes, one that stands for nothing but an end is too many
        symmetric = given.get("symmetry", "asym" if bits == 2 else "sym") == "sym"
        return Target(text, "gptq", GroupGrid(bits, int(given.get("group", 128)), symmetric))
    if name == "compressed-tensors":
        return _compressed_tensors(text, given, scheme or "w4a16")
    raise InputError(f"--to {text}: unknown format; such as {EXAMPLES}")


def _gguf(text: str, options: list[str]) -> Target:
    if len(options) != 1:
        raise InputError(f"--to {text}: name llama.cpp's file type, such as gguf:Q4_K_M or gguf:Q2_K-pure")
    pure = options[0].lower().endswith(PURE)
    name = (options[0][: -len(PURE)] if pure else options[0]).upper()
    target = Target(text, "gguf", file_type=name, pure=pure)
    _ = target.file_type_number  # refused here, before anything is read
    return target


def _compressed_tensors(text: str, given: dict[str, str], scheme: str) -> Target:
    if given.keys() - {"group", "symmetry"}:
        raise InputError(f"--to {text}: the scheme says the bits: w4a16 or w8a8")
    symmetric = given.get("symmetry", "sym") == "sym"
    if scheme == "w4a16":
        grid = GroupGrid(4, int(given.get("group", 128)), symmetric)
        return Target(text, "compressed-tensors", grid)
    if scheme == "w8a8" and not given:
        grid = GroupGrid(8, -1, symmetric=True)
        return Target(text, "compressed-tensors", grid, eight_bit_inputs=True)
    raise InputError(f"--to {text}: w4a16 (with a group, with or without symmetry) or w8a8")


def _given(text: str, options: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for option in options:
        match = _OPTION.fullmatch(option)
        if not match:
            raise InputError(f"--to {text}: unknown option {option[:40]!r}; such as {EXAMPLES}")
        for key, value in match.groupdict().items():
            if value is None:
                continue
            if key in given:
                raise InputError(f"--to {text}: says {key} twice")
            given[key] = value
    return given
