"""Methods by name: each is a solver of its own, and is told with every option."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.errors import InputError
from qaudit.lab.members import reference_folder
from realign.folder_delivery import FolderDelivery
from realign.grids.target import parse_target
from realign.methods import by_blocks, solver_of, told_of, with_effort
from realign.solvers.patch_training import QresafeOptions
from realign.solvers.qrealign import QRealignOptions, QRealignSolver
from realign.solvers.qresafe import QresafeSolver


@pytest.fixture(scope="module")
def delivery() -> FolderDelivery:
    return FolderDelivery(parse_target("awq:g64"), HfCheckpoint(reference_folder()))


def test_each_method_has_a_solver(delivery: FolderDelivery) -> None:
    names = ("plain", "qrealign", "qresafe", "protect", "restore")
    solvers = {type(solver_of(name, delivery)).__name__ for name in names}  # type: ignore[arg-type]
    assert len(solvers) == len(names)
    with pytest.raises(InputError, match="auto"):
        solver_of("auto", delivery)


@pytest.mark.parametrize(
    ("to", "bits"), [("compressed-tensors:w8a8", 8), ("compressed-tensors", None), ("awq:g64", None)]
)
def test_inputs_are_rounded_where_runtimes_do(to: str, bits: int | None) -> None:
    made = FolderDelivery(parse_target(to), HfCheckpoint(reference_folder()))
    solver = solver_of("qrealign", made)
    assert isinstance(solver, QRealignSolver)
    assert solver.options == QRealignOptions(input_bits=bits)
    patching = solver_of("qresafe", made)
    assert isinstance(patching, QresafeSolver)
    assert patching.options == QresafeOptions(input_bits=bits)


def test_who_takes_blocks_one_by_one(delivery: FolderDelivery) -> None:
    names = ("plain", "qrealign", "qresafe", "protect", "restore")
    found = [name for name in names if by_blocks(solver_of(name, delivery))]  # type: ignore[arg-type]
    assert found == ["qrealign"]


def test_less_effort_is_fewer_steps_of_the_same(delivery: FolderDelivery) -> None:
    whole = solver_of("qrealign", delivery)
    assert with_effort(whole, 1) is whole
    half = with_effort(whole, 0.5)
    assert isinstance(half, QRealignSolver)
    assert half.options == QRealignOptions(early_epochs=1, late_epochs=3, round_steps=50)
    assert told_of(with_effort(solver_of("qresafe", delivery), 0.001)).count("steps=1,") == 1
    for name in ("plain", "protect", "restore"):
        solver = solver_of(name, delivery)  # type: ignore[arg-type]
        assert with_effort(solver, 0.5) is solver


def test_a_solver_is_told_with_its_options(delivery: FolderDelivery) -> None:
    assert "group_size=64" in told_of(solver_of("plain", delivery))
    # the one that rounds what was restored, with its options
    assert "group_size=64" in told_of(solver_of("restore", delivery))
    assert "rounds=" in told_of(solver_of("qresafe", delivery))
    # no addresses: what was stored must be known again by another process
    for name in ("plain", "qrealign", "qresafe", "protect", "restore"):
        assert " at 0x" not in told_of(solver_of(name, delivery))  # type: ignore[arg-type]
