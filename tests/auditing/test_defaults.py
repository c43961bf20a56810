from pathlib import Path

from qaudit.auditing.defaults import DEFAULT_SUITES, default_limits, default_suites
from qaudit.auditing.options import AuditOptions
from qaudit.checkpoints.opening import open_checkpoint
from qaudit.engines.protocol import EngineOptions
from qaudit.suites.loading import load_suite


def test_the_labs_reference_gets_the_labs_suites(f16: Path) -> None:
    suites = default_suites(open_checkpoint(f16))
    assert suites == tuple(f"lab-{name}" for name in DEFAULT_SUITES)


def test_all_default_suites_are_shipped() -> None:
    for name in DEFAULT_SUITES:
        assert load_suite(name).items
        assert load_suite(f"lab-{name}").items
    assert load_suite("adaptive").derived_from == "core"
    assert load_suite("lab-adaptive").derived_from == "lab-core"


def test_limits_grow_with_the_file_and_leave_a_gpu_its_address_space(f16: Path) -> None:
    checkpoint = open_checkpoint(f16)
    options = AuditOptions(engine=EngineOptions(threads=2))
    limits = default_limits(checkpoint, options, "llama.cpp", EngineOptions(2, gpu_layers=0))
    assert limits.memory_bytes is not None
    assert limits.memory_bytes > 2 * f16.stat().st_size
    assert not limits.gpu
    # a worker that neither answers nor dies ends too, but not before an honest slow one is done
    assert limits.wall_s is not None
    assert 1800 <= limits.wall_s < 2000
    on_gpu = default_limits(checkpoint, options, "llama.cpp", EngineOptions(2, gpu_layers=-1))
    assert (on_gpu.memory_bytes, on_gpu.gpu) == (None, True)


def test_transformers_gets_room_for_decoded_weights(f16: Path) -> None:
    checkpoint = open_checkpoint(f16)
    options = AuditOptions(engine=EngineOptions(threads=2))
    here = default_limits(checkpoint, options, "transformers", EngineOptions(2, gpu_layers=-1, device="cpu"))
    assert here.memory_bytes is not None
    assert here.memory_bytes > 16 * checkpoint.parameters
    assert not here.gpu
    assert default_limits(checkpoint, options, "transformers", EngineOptions(2, device="cuda")).gpu
