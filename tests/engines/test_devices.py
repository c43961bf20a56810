from pathlib import Path

import pytest

from qaudit.confinement import graphics_devices
from qaudit.engines import devices
from qaudit.engines.devices import cuda_present, settle
from qaudit.engines.protocol import EngineOptions


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "graphics_devices", lambda: [Path("/dev/nvidia0"), Path("/dev/nvidiactl")])
    monkeypatch.setattr(devices, "built_for_cuda", lambda engine: True)


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "graphics_devices", lambda: [Path("/dev/nvidiactl"), Path("/dev/dri/card0")])


def test_device_files_of_cards_are_found(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "sda", "dri/renderD128", "nvidia-caps/nvidia-cap1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in graphics_devices(tmp_path)]
    assert names == ["dri/renderD128", "nvidia-caps/nvidia-cap1", "nvidia-uvm", "nvidia0", "nvidiactl"]


@pytest.mark.usefixtures("card")
def test_a_hidden_card_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cuda_present()
    for hidden in ("", "-1", "-1,0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not cuda_present()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert cuda_present()


@pytest.mark.usefixtures("no_card")
def test_without_a_card_all_is_on_the_processor() -> None:
    assert not cuda_present()
    settled = settle(EngineOptions(threads=2), {"torch_dtype": "bfloat16"})
    assert (settled.device, settled.dtype, settled.gpu_layers) == ("cpu", "float32", 0)


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    ("config", "dtype"),
    [
        ({"torch_dtype": "float16"}, "float16"),
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"dtype": "float32"}, "bfloat16"),
        ({}, "bfloat16"),
        ({"dtype": ["float16"]}, "bfloat16"),
    ],
)
def test_with_a_card_both_engines_use_it(config: dict[str, object], dtype: str) -> None:
    settled = settle(EngineOptions(threads=2), config)
    assert (settled.device, settled.dtype, settled.gpu_layers) == ("cuda", dtype, -1)


@pytest.mark.usefixtures("card")
def test_what_was_chosen_stays() -> None:
    chosen = EngineOptions(threads=2, gpu_layers=3, device="cpu", dtype="float16")
    assert settle(chosen, {}) == chosen


@pytest.mark.usefixtures("card")
def test_a_library_without_cuda_stays_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "built_for_cuda", lambda engine: engine == "llama.cpp")
    settled = settle(EngineOptions(threads=2), {"dtype": "bfloat16"})
    assert (settled.device, settled.dtype, settled.gpu_layers) == ("cpu", "float32", -1)


def test_what_a_library_was_built_for_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        devices, "_PROBES", {"transformers": "raise SystemExit(0)", "llama.cpp": "import nosuch"}
    )
    devices.built_for_cuda.cache_clear()
    try:
        assert devices.built_for_cuda("transformers")
        assert not devices.built_for_cuda("llama.cpp")
    finally:
        devices.built_for_cuda.cache_clear()
