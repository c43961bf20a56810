import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.kernels.class_scatter import ClassScatter  # noqa: E402


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_batches_give_what_the_whole_gives(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    batches = [torch.randn(size, 5, generator=generator) * 3 + 100 for size in sizes]
    labels = [torch.randint(0, 2, (size,), generator=generator) for size in sizes]
    state = ClassScatter.empty(5)
    halves = [ClassScatter.empty(5), ClassScatter.empty(5)]
    for number, (states, classes) in enumerate(zip(batches, labels, strict=True)):
        state = state.updated(states, classes)
        halves[number % 2] = halves[number % 2].updated(states, classes)
    whole, classes = torch.cat(batches).double(), torch.cat(labels)
    for result in (state, halves[0].merged(halves[1])):
        for label in (0, 1):
            part = whole[classes == label]
            assert int(result.counts[label]) == len(part)
            if len(part):
                torch.testing.assert_close(result.means[label].double(), part.mean(dim=0), rtol=1e-6, atol=0)
                around = (part - part.mean(dim=0)).square().sum(dim=0)
                torch.testing.assert_close(result.scatter[label].double(), around, rtol=1e-3, atol=1e-3)


def test_known_fisher_ratio() -> None:
    states = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])
    state = ClassScatter.empty(2).updated(states, torch.tensor([0, 0, 1, 1]))
    # means 4 apart, every state 1 from its mean
    assert state.fisher_ratio(0.0) == 16.0
    assert state.fisher_ratio(1.0) == 8.0


def test_one_class_has_no_ratio() -> None:
    state = ClassScatter.empty(2).updated(torch.ones(3, 2), torch.zeros(3))
    with pytest.raises(InputError, match="a class has no states"):
        state.fisher_ratio()


def test_large_means_do_not_drown_the_scatter() -> None:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(400, 3, generator=generator) + 5000
    state = ClassScatter.empty(3)
    for batch in states.split(50):
        state = state.updated(batch, torch.ones(50))
    expected = (states.double() - states.double().mean(dim=0)).square().sum(dim=0)
    torch.testing.assert_close(state.scatter[1].double(), expected, rtol=1e-4, atol=0)


def test_shapes() -> None:
    with pytest.raises(InputError, match="are not"):
        ClassScatter.empty(2).updated(torch.ones(3, 3), torch.zeros(3))
    with pytest.raises(InputError, match="are not"):
        ClassScatter.empty(2).updated(torch.ones(3, 2), torch.zeros(2))
