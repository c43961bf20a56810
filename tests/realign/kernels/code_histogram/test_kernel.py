import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from kernel_runs import Interpreter  # noqa: E402

from realign.kernels.code_histogram import kernel, reference  # noqa: E402
from realign.kernels.compiling import ARCHITECTURES, compiled  # noqa: E402


@pytest.mark.parametrize("shape", [(3, 1), (2, 2048), (4, 2051), (2, 40000), (5, 0)], ids=str)
@pytest.mark.parametrize(("bits", "together"), [(4, 2), (4, 1), (2, 4), (3, 1), (8, 1), (1, 8)])
def test_counts_are_exact(run: Interpreter, shape: tuple[int, int], bits: int, together: int) -> None:
    generator = torch.Generator().manual_seed(shape[1])
    stored = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    if shape[1] > 2:
        # one code alone
        stored[1] = 0
    found = run(kernel.histogram, stored, bits, together)
    assert found.dtype == torch.int64
    assert torch.equal(found, reference.histogram(stored, bits, together))
    assert (found.sum(dim=1) == shape[1] * together).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles_without_spills(architecture: int) -> None:
    stored = torch.empty(8192, 28672 // 2, dtype=torch.uint8, device="meta")
    assert not compiled(kernel.histogram_launch(stored, 4, 2)[0], architecture).spills


def test_histograms_of_bytes_compile_without_spills() -> None:
    stored = torch.empty(8192, 28672, dtype=torch.uint8, device="meta")
    assert not compiled(kernel.histogram_launch(stored, 8, 1)[0], 90).spills
