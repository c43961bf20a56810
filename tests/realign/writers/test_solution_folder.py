"""A solution as a folder: everything reads back as it was meant, and what stays float is told."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("compressed_tensors")

from realign_packing import random_linear  # noqa: E402

from qaudit.checkpoints.opening import open_checkpoint  # noqa: E402
from qaudit.errors import InputError  # noqa: E402
from realign.decoder_blocks import STAGES, blocks_of, module_name  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.job import Solution  # noqa: E402
from realign.plain_quantization import load_float  # noqa: E402
from realign.superblock_linear import SuperblockLinear  # noqa: E402
from realign.writers.solution_folder import FolderPacking, write_solution_folder  # noqa: E402

NORM = "model.layers.1.input_layernorm.weight"
KEPT = "model.layers.2.mlp.down_proj"
PACKINGS = {
    "awq": FolderPacking("awq", GroupGrid(4, 32, symmetric=False)),
    "gptq": FolderPacking("gptq", GroupGrid(3, 32, symmetric=True), "static"),
    "compressed-tensors": FolderPacking("compressed-tensors", GroupGrid(4, 32, symmetric=True)),
    "w8a8": FolderPacking("compressed-tensors", GroupGrid(8, -1, symmetric=True), eight_bit_inputs=True),
}


def solution_of(model: object, packing: FolderPacking) -> Solution:
    encoded = {}
    for number, block in enumerate(blocks_of(model)):
        for name in (name for stage in STAGES for name in stage.linears):
            module = module_name(number, name)
            layer = block.get_submodule(name)
            grid = packing.grid
            shape = (layer.out_features, layer.in_features)  # type: ignore[operator, arg-type]
            encoded[module] = random_linear(
                grid.bits,
                *shape,
                shape[1] if grid.group_size == -1 else grid.group_size,
                symmetric=grid.symmetric,
                seed=number,
            )
    del encoded[KEPT]
    return Solution(encoded, {NORM: torch.linspace(0.5, 1.5, 64)})


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("parent", ["grouped", "ungrouped"])
def test_reads_back_as_it_was_meant(
    name: str, parent: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder, packing = request.getfixturevalue(parent), PACKINGS[name]
    model = load_float(folder)
    solution = solution_of(model, packing)
    meant = write_solution_folder(tmp_path / "new", folder, model, solution, packing)
    written, original = open_checkpoint(tmp_path / "new"), open_checkpoint(folder)
    assert sorted(written.names()) == sorted(original.names())
    for parameter, tensor in meant.items():
        module = parameter if parameter in written.names() else parameter.removesuffix(".weight")
        np.testing.assert_array_equal(written.rows(module), np.atleast_2d(tensor.float().detach().numpy()))
    for module, entry in solution.encoded.items():
        expected = entry.weight() if packing.format != "compressed-tensors" else entry.weight().half().float()
        assert torch.equal(meant[f"{module}.weight"].float(), expected)
    np.testing.assert_array_equal(
        written.rows(NORM.removesuffix(".weight"))[0], solution.floats[NORM].half().float().numpy()
    )
    # the one that the solution leaves out is as it was, and runtimes are told so
    np.testing.assert_array_equal(written.rows(KEPT), original.rows(KEPT))
    config = json.loads((tmp_path / "new" / "config.json").read_text())["quantization_config"]
    told = json.dumps(config).replace("\\\\", "")
    assert KEPT in told


@pytest.mark.parametrize("name", PACKINGS)
def test_the_folder_runs(name: str, grouped: Path, tmp_path: Path) -> None:
    packing = PACKINGS[name]
    model = load_float(grouped)
    meant = write_solution_folder(tmp_path / "new", grouped, model, solution_of(model, packing), packing)
    from qaudit.engines.protocol import EngineOptions
    from qaudit.engines.transformers_loading import load_network

    options = EngineOptions(threads=1, device="cpu", dtype="float32", kernels="never", judge=None)
    loaded = load_network(tmp_path / "new", None, options).model
    with torch.no_grad():
        for parameter, value in model.named_parameters():
            value.copy_(meant[parameter])
        tokens = torch.tensor([[5, 9, 300, 41]])
        assert torch.equal(loaded(tokens).logits, model(tokens).logits)


def test_what_does_not_fit_is_refused(grouped: Path, tmp_path: Path) -> None:
    model, packing = load_float(grouped), PACKINGS["awq"]
    rows = SuperblockLinear("Q4_K", 256, torch.zeros(4, 144, dtype=torch.uint8))
    with pytest.raises(InputError, match="choose gguf"):
        write_solution_folder(tmp_path / "new", grouped, model, Solution({KEPT: rows}, {}), packing)
    other = Solution({"model.layers.9.mlp.up_proj": random_linear(4, 8, 32, 32)}, {})
    with pytest.raises(InputError, match=r"layers\.9"):
        write_solution_folder(tmp_path / "new", grouped, model, other, packing)
    assert list(tmp_path.iterdir()) == []
