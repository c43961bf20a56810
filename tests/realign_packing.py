"""Random quantized matrices, and modules read back from a file that holds their parts."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from qaudit.checkpoints.codecs.module_parts import ModuleParts
from qaudit.checkpoints.safetensors import read_safetensors
from realign.quantized_linear import QuantizedLinear


def random_linear(
    bits: int,
    outputs: int,
    inputs: int,
    group: int,
    *,
    symmetric: bool = False,
    shuffled: bool = False,
    seed: int = 0,
) -> QuantizedLinear:
    generator = torch.Generator().manual_seed(seed)
    groups = inputs // group
    group_of = torch.arange(inputs) // group
    zeros = torch.randint(0, 1 << bits, (outputs, groups), generator=generator, dtype=torch.uint8)
    return QuantizedLinear(
        bits=bits,
        symmetric=symmetric,
        codes=torch.randint(0, 1 << bits, (outputs, inputs), generator=generator, dtype=torch.uint8),
        zeros=torch.full_like(zeros, 1 << (bits - 1)) if symmetric else zeros,
        scales=torch.rand(outputs, groups, generator=generator).half() + 0.01,
        group_of=group_of[torch.randperm(inputs, generator=generator)] if shuffled else group_of,
    )


def module_in(path: Path, parts: dict[str, torch.Tensor]) -> ModuleParts:
    save_file(parts, path)
    file = read_safetensors(path)
    return ModuleParts("module", {name: (file, tensor) for name, tensor in file.tensors.items()})
