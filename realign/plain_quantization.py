"""AWQ and GPTQ as published, for a whole checkpoint folder: the baselines, without regard to safety."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qaudit.checkpoints.hf_repo import read_hf_folder
from qaudit.errors import InputError, MissingExtra
from realign.decoder_blocks import STAGES, blocks_of, linear, module_name
from realign.grids.grid import Grid
from realign.job import CalibrationTokens, Job
from realign.quantized_linear import QuantizedLinear
from realign.solvers.plain import AwqRecipe, GptqRecipe, Linears, PlainSolver, Recipe, linears_of
from realign.writers.awq import awq_config, awq_tensors
from realign.writers.gptq import gptq_config, gptq_tensors
from realign.writers.hf_folder import write_hf_folder

try:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging
except ImportError as error:
    raise MissingExtra("transformers", "hf") from error

# recipes are named here too: whoever quantizes a folder chooses one
__all__ = [
    "AwqRecipe",
    "GptqRecipe",
    "Recipe",
    "load_float",
    "quantize_folder",
    "quantize_model",
    "round_to_nearest",
    "tokenized",
]
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def quantize_folder(
    parent: Path,
    target: Path,
    recipe: Recipe,
    prompts: Sequence[str],
    *,
    more: Mapping[str, Any] | None = None,
) -> Linears:
    """Quantize a float folder in Hugging Face layout and write the result.

    Everything but the linear layers of the blocks stays as it is stored, but for norms that AWQ folds
    scales into; those keep their stored type.

    Args:
        parent: folder with float weights and a tokenizer.
        target: folder to write; one that is there is replaced.
        recipe: method, bits, groups and packing.
        prompts: calibration texts, rendered in the chat template.
        more: further keys of config.json.

    Returns:
        What was written, by module name.

    Raises:
        InputError: the parent is not a float checkpoint of a known family, or does not fit the recipe.
        OutputProblem: the target cannot be written.
    """
    stored = _stored_types(parent)
    model = load_float(parent)
    tokens = tokenized(parent, prompts)
    linears = quantize_model(model, tokens, recipe)
    parts_of, config = _packing(recipe)
    state = model.state_dict()
    tensors: dict[str, Tensor] = {}
    for name, dtype in stored.items():
        module = name.removesuffix(".weight")
        if name.endswith(".weight") and module in linears:
            parts = parts_of(linears[module])
            tensors.update({f"{module}.{part}": tensor for part, tensor in parts.items()})
        elif name in state:
            tensors[name] = state[name].to(dtype)
        else:
            raise InputError(f"{parent}: holds {name[:80]!a}, which transformers' model has not")
    write_hf_folder(target, parent, tensors, config, more=more)
    return linears


def quantize_model(model: Any, prompts: Sequence[Sequence[int]], recipe: Recipe) -> Linears:  # noqa: ANN401
    """Quantize a transformers model in place; it is left with the weights that a reader will decode.

    Args:
        model: float32.
        prompts: token ids of calibration prompts.
        recipe: how.
    """
    modules = [
        module_name(number, name)
        for number in range(len(blocks_of(model)))
        for stage in STAGES
        for name in stage.linears
    ]
    tokens = CalibrationTokens((), tuple(tuple(prompt) for prompt in prompts))
    grids: dict[str, Grid] = dict.fromkeys(modules, recipe.options.grid)
    job, solver = Job(model, model, tokens, grids, 0, frozenset()), PlainSolver(recipe)
    return linears_of(list(solver.steps(job, ())))


@torch.no_grad()
def round_to_nearest(model: Any, recipe: Recipe) -> None:  # noqa: ANN401
    """Round a model in place to the recipe's grid and no more: what a search must beat."""
    grid = recipe.options.grid
    for block in blocks_of(model):
        for name in (name for stage in STAGES for name in stage.linears):
            weight = linear(block, name).weight
            by_group = weight.reshape(len(weight), grid.groups_of(weight.shape[1]), -1)
            scales, zeros = grid.fit(by_group.amin(dim=-1, keepdim=True), by_group.amax(dim=-1, keepdim=True))
            weight.copy_(grid.rounded(by_group, scales, zeros).reshape(weight.shape))


def load_float(folder: Path) -> Any:  # noqa: ANN401
    """Load a folder as a float32 model: safetensors only, and none of its code is run."""
    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
    finally:
        if shown:
            bars.enable_progress_bar()
    return model.eval()


def tokenized(folder: Path, texts: Sequence[str]) -> list[list[int]]:
    """Return token ids of texts that have their special tokens written out."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    return [list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]


def _packing(recipe: Recipe) -> tuple[Callable[[QuantizedLinear], dict[str, Tensor]], dict[str, Any]]:
    if isinstance(recipe, AwqRecipe):
        return awq_tensors, awq_config(recipe.options.group_size)
    if recipe.packing == "gptq":
        return gptq_tensors, gptq_config(recipe.options)
    # its library takes seconds to import
    from realign.writers.compressed_tensors import compressed_tensors, compressed_tensors_config

    grid = recipe.options.grid
    return lambda entry: compressed_tensors(entry, grid), compressed_tensors_config(grid)


def _stored_types(parent: Path) -> dict[str, torch.dtype]:
    folder = read_hf_folder(parent)
    if folder.quantization is not None:
        raise InputError(f"{parent}: is quantized already; give the float checkpoint that it was made from")
    held = {name: t.dtype for file in folder.weights for name, t in file.tensors.items()}
    odd = next((name for name, dtype in held.items() if dtype not in DTYPES), None)
    if odd:
        raise InputError(f"{parent}: {odd[:80]!a} is {held[odd]}, not a float of 16, 32 or 64 bits")
    return {name: DTYPES[dtype] for name, dtype in held.items()}
