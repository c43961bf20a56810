"""Methods by name: each is a solver of its own, and is told with every option."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from qaudit.checkpoints.hf_checkpoint import HfCheckpoint
from qaudit.errors import InputError
from qaudit.lab.members import reference_folder
from realign.folder_delivery import FolderDelivery
from realign.grids.target import parse_target
from realign.methods import solver_of, told_of


@pytest.fixture(scope="module")
def delivery() -> FolderDelivery:
    return FolderDelivery(parse_target("awq:g64"), HfCheckpoint(reference_folder()))


def test_each_method_has_a_solver(delivery: FolderDelivery) -> None:
    names = ("plain", "qrealign", "qresafe", "protect", "restore")
    solvers = {type(solver_of(name, delivery)).__name__ for name in names}  # type: ignore[arg-type]
    assert len(solvers) == len(names)
    with pytest.raises(InputError, match="auto"):
        solver_of("auto", delivery)


def test_a_solver_is_told_with_its_options(delivery: FolderDelivery) -> None:
    assert "group_size=64" in told_of(solver_of("plain", delivery))
    # the one that rounds what was restored, with its options
    assert "group_size=64" in told_of(solver_of("restore", delivery))
    assert "rounds=" in told_of(solver_of("qresafe", delivery))
    # no addresses: what was stored must be known again by another process
    for name in ("plain", "qrealign", "qresafe", "protect", "restore"):
        assert " at 0x" not in told_of(solver_of(name, delivery))  # type: ignore[arg-type]
