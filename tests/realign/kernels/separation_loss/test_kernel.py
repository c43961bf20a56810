import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from kernel_runs import Interpreter  # noqa: E402

from realign.kernels.compiling import ARCHITECTURES, compiled  # noqa: E402
from realign.kernels.separation_loss import kernel, reference  # noqa: E402

SHAPES = [(5, 13, 257), (3, 1, 1024), (2, 9, 3000), (1, 8, 1)]
EPS = 2.0**-24


def problem(prompts: int, tokens: int, channels: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(prompts * channels)
    hidden = torch.randn(prompts, tokens, channels, generator=generator)
    # what is no last token must not be read
    last = torch.randint(0, tokens, (prompts,), generator=generator)
    chosen = hidden[torch.arange(prompts), last].clone()
    chosen[0] *= 100
    hidden[:] = float("nan")
    hidden[torch.arange(prompts), last] = chosen
    sides = torch.where(torch.arange(prompts) % 2 == 0, 1.0, -1.0)
    return hidden, last, sides, torch.randn(channels, generator=generator)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_losses(run: Interpreter, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    hidden, last, sides, weight = problem(*shape)
    hidden = hidden.to(dtype)
    found = run(kernel.losses, hidden, last, sides, weight, -0.7, 1.25)
    expected = reference.losses(hidden, last, sides, weight, -0.7, 1.25)
    chosen = hidden[torch.arange(len(last)), last].float()
    by_score = (shape[2] + 8) * EPS * ((chosen * weight).abs().sum(dim=1) + 2)
    behind = 1.25 - sides * ((chosen * weight).sum(dim=1) - 0.7)
    for mine, theirs in zip(found, expected, strict=True):
        assert ((mine - theirs).abs() <= by_score + (4 + behind.abs()) * 2 * EPS * theirs.abs()).all()


def test_small_and_large_losses_keep_their_digits(run: Interpreter) -> None:
    scores = torch.tensor([-1e30, -90.0, -20.0, -1.0, 0.0, 1e-6, 1.0, 16.0, 40.0, 88.0, 1e30])
    ones = torch.ones(len(scores))
    given = (scores[:, None, None], torch.zeros(len(scores)).long(), ones, torch.ones(1), 0.0, 0.0)
    for mine, theirs in zip(run(kernel.losses, *given), reference.losses(*given), strict=True):
        error = (mine.double() - theirs.double()).abs()
        # a GPU has no numbers below 2^-126 here
        assert (error <= (4 + scores.abs()) * 2 * EPS * theirs.abs().double() + 2.0**-126).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient(run: Interpreter, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    hidden, last, sides, weight = problem(*shape)
    like = torch.zeros(1, dtype=dtype).expand(hidden.shape)
    # products that bfloat16 holds: triton's interpreter cuts off where a GPU rounds
    slopes, weight = (sides * 0.5, weight.to(dtype).float())
    found = run(kernel.gradient, slopes, last, weight, like)
    assert found.dtype == dtype
    assert torch.equal(found, reference.gradient(slopes, last, weight, like))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles_without_spills(architecture: int) -> None:
    hidden = torch.empty(64, 128, 8192, device="meta", dtype=torch.bfloat16)
    last = torch.empty(64, device="meta", dtype=torch.int64)
    sides, weight = torch.empty(64, device="meta"), torch.empty(8192, device="meta")
    launches = [
        kernel.loss_launch(hidden, last, sides, weight, 0.5, 1.0)[0],
        kernel.gradient_launch(sides, last, weight, hidden)[0],
    ]
    for launch in launches:
        made = compiled(launch, architecture)
        assert not made.spills
        assert made.fits
