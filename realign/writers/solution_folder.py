"""A solution as a checkpoint folder in Hugging Face layout, packed as AWQ, GPTQ or compressed-tensors.

What is not quantized keeps the type that the template folder stores it in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from qaudit.checkpoints.hf_repo import HfFolder, read_hf_folder
from qaudit.errors import InputError
from realign.grids.group_grid import GroupGrid
from realign.job import Solution
from realign.quantized_linear import QuantizedLinear
from realign.solvers.gptq import ActOrder, GptqOptions
from realign.writers.awq import awq_config, awq_tensors
from realign.writers.gptq import gptq_config, gptq_tensors, version_for
from realign.writers.hf_folder import Carried, write_hf_folder

FolderFormat = Literal["awq", "gptq", "compressed-tensors"]
FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
HALF = torch.float16
HEAD = "lm_head"


@dataclass(frozen=True, slots=True)
class FolderPacking:
    """How quantized modules are packed.

    Attributes:
        format: of the folder.
        grid: of every quantized module; a module that is to stay float is not in the solution.
        act_order: how GPTQ ordered columns, told in its configuration.
        eight_bit_inputs: inputs are rounded too, to 8 bits as they come; compressed-tensors only.
    """

    format: FolderFormat
    grid: GroupGrid
    act_order: ActOrder = "none"
    eight_bit_inputs: bool = False


def write_solution_folder(
    target: Path,
    template: Path,
    parent: Any,  # noqa: ANN401
    solution: Solution,
    packing: FolderPacking,
    carried: Carried | None = None,
) -> dict[str, Tensor]:
    """Write a folder whole.

    Args:
        target: the folder; one that is there is replaced.
        template: folder of the same model whose configuration and tokenizer are carried over.
        parent: model whose parameters are taken where the solution has none; float32.
        solution: what was found.
        packing: how quantized modules are packed.
        carried: what is taken over in place of the template's own small files.

    Returns:
        What the folder means: the weights of each module as a reader decodes them, by parameter name.

    Raises:
        InputError: the solution does not fit the format, or the folder cannot be read.
        OutputProblem: the folder cannot be written.
    """
    folder = read_hf_folder(template)
    types = _stored_types(folder)
    default = _named_type(folder.config)
    tensors: dict[str, Tensor] = {}
    meant: dict[str, Tensor] = {}
    kept: list[str] = []
    for name, value in _parameters(parent).items():
        module = name.removesuffix(".weight")
        entry = solution.encoded.get(module) if name.endswith(".weight") else None
        if entry is None:
            floats = solution.floats.get(name, value)
            tensors[name] = meant[name] = floats.detach().to(types.get(name, default))
            if _is_linear(parent, module) and module != HEAD:
                kept.append(module)
            continue
        if not isinstance(entry, QuantizedLinear):
            raise InputError(f"{module}: {type(entry).__name__} does not fit {packing.format}; choose gguf")
        tensors.update({f"{module}.{part}": tensor for part, tensor in _parts(entry, packing).items()})
        meant[name] = _as_read(entry, packing)
    unknown = sorted(set(solution.encoded) - {name.removesuffix(".weight") for name in meant})
    if unknown:
        raise InputError(f"the solution has {unknown[0][:100]!a}, which the model has not")
    write_hf_folder(target, template, tensors, _config(packing, tuple(kept)), carried=carried)
    return meant


def _parameters(parent: Any) -> dict[str, Tensor]:  # noqa: ANN401
    # without buffers, and a matrix that is tied to the embeddings once
    return dict(parent.named_parameters())


def _is_linear(parent: Any, module: str) -> bool:  # noqa: ANN401
    return isinstance(parent.get_submodule(module), torch.nn.Linear) if _has(parent, module) else False


def _has(parent: Any, module: str) -> bool:  # noqa: ANN401
    return any(name == module for name, _ in parent.named_modules())


def _parts(entry: QuantizedLinear, packing: FolderPacking) -> dict[str, Tensor]:
    entry = _on_cpu(entry)
    if packing.format == "awq":
        return awq_tensors(entry)
    if packing.format == "gptq":
        return gptq_tensors(entry, version_for(packing.grid))
    # its library takes seconds to import
    from realign.writers.compressed_tensors import compressed_tensors

    return compressed_tensors(entry, packing.grid, eight_bit_inputs=packing.eight_bit_inputs)


def _on_cpu(entry: QuantizedLinear) -> QuantizedLinear:
    return QuantizedLinear.from_tensors({name: tensor.cpu() for name, tensor in entry.tensors().items()})


def _as_read(entry: QuantizedLinear, packing: FolderPacking) -> Tensor:
    # compressed-tensors decodes in the type of the scales
    return entry.weight().half() if packing.format == "compressed-tensors" else entry.weight()


def _config(packing: FolderPacking, kept: tuple[str, ...]) -> dict[str, Any]:
    if packing.format == "awq":
        config = awq_config(packing.grid.group_size)
        return {**config, "modules_to_not_convert": [HEAD, *kept]}
    if packing.format == "gptq":
        config = gptq_config(GptqOptions(packing.grid, packing.act_order), version_for(packing.grid))
        # as GPTQModel leaves modules out
        left_out: dict[str, Any] = {f"-:^{module.replace('.', chr(92) + '.')}$": {} for module in kept}
        return {**config, "dynamic": left_out} if left_out else config
    from realign.writers.compressed_tensors import compressed_tensors_config

    config = compressed_tensors_config(packing.grid, eight_bit_inputs=packing.eight_bit_inputs)
    return {**config, "ignore": [HEAD, *kept]}


def _stored_types(folder: HfFolder) -> dict[str, torch.dtype]:
    held = {name: t.dtype for file in folder.weights for name, t in file.tensors.items()}
    return {name: FLOATS[dtype] for name, dtype in held.items() if dtype in FLOATS}


def _named_type(config: Mapping[str, Any]) -> torch.dtype:
    named = str(config.get("dtype") or config.get("torch_dtype"))
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(named, HALF)
