import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from kernel_runs import Interpreter  # noqa: E402

from realign.kernels.class_scatter import kernel, reference  # noqa: E402
from realign.kernels.compiling import ARCHITECTURES, compiled  # noqa: E402

SHAPES = [(37, 130), (200, 64), (1, 257), (16, 1)]
EPS = 2.0**-24


def check(found: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...], largest: torch.Tensor) -> None:
    assert torch.equal(found[0], expected[0])
    count = int(expected[0].sum())
    assert ((found[1] - expected[1]).abs() <= (count + 8) * EPS * largest).all()
    assert ((found[2] - expected[2]).abs() <= 2 * (count + 8) * EPS * count * largest**2).all()
    # far tighter where the scatter is no cancellation
    torch.testing.assert_close(found[2], expected[2], rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_batches(run: Interpreter, shape: tuple[int, int], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(shape[0])
    state = torch.zeros(2, dtype=torch.int64), torch.zeros(2, shape[1]), torch.zeros(2, shape[1])
    expected: tuple[torch.Tensor, ...] = state
    largest = torch.zeros(shape[1])
    for step in range(2):
        hidden = (torch.randn(*shape, generator=generator) * 3 + 5 * step).to(dtype)
        labels = torch.randint(0, 2, (shape[0],), generator=generator, dtype=torch.uint8)
        largest = torch.maximum(largest, hidden.float().abs().amax(dim=0))
        state = run(kernel.updated, *state, hidden, labels)
        expected = reference.updated(*expected, hidden, labels)
        check(state, expected, largest)


@pytest.mark.parametrize("label", [0, 1])
def test_a_class_that_is_not_there(run: Interpreter, label: int) -> None:
    state = torch.zeros(2, dtype=torch.int64), torch.zeros(2, 40), torch.zeros(2, 40)
    hidden = torch.randn(20, 40, generator=torch.Generator().manual_seed(0))
    labels = torch.full((20,), label, dtype=torch.uint8)
    counts, means, scatter = run(kernel.updated, *state, hidden, labels)
    assert counts.tolist() == ([20, 0] if label == 0 else [0, 20])
    assert (means[1 - label] == 0).all()
    assert (scatter[1 - label] == 0).all()
    check((counts, means, scatter), reference.updated(*state, hidden, labels), hidden.abs().amax(dim=0))


def test_counts_beyond_what_float32_counts(run: Interpreter) -> None:
    counts = torch.tensor([2**40 + 1, 2**25 + 1])
    hidden, labels = torch.ones(3, 8), torch.tensor([0, 1, 1], dtype=torch.uint8)
    found = run(kernel.updated, counts, torch.ones(2, 8), torch.zeros(2, 8), hidden, labels)
    assert found[0].tolist() == [2**40 + 2, 2**25 + 3]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles_without_spills(architecture: int) -> None:
    hidden = torch.empty(1000, 8192, device="meta", dtype=torch.bfloat16)
    labels = torch.empty(1000, device="meta", dtype=torch.uint8)
    state = kernel.State(
        torch.empty(2, device="meta", dtype=torch.int64),
        torch.empty(2, 8192, device="meta"),
        torch.empty(2, 8192, device="meta"),
    )
    for launch in kernel.launches(state, hidden, labels)[0]:
        made = compiled(launch, architecture)
        assert not made.spills
        assert made.fits
