from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hf_folders import write_folder  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from qaudit.errors import InputError  # noqa: E402
from realign.activation_stream import (  # noqa: E402
    ModelBlocks,
    TokenBatch,
    at_last_token,
    first_calls,
    last_positions,
    stream,
    token_batches,
    unpadded,
)
from realign.plain_quantization import load_float  # noqa: E402

PAD = 3


def padded(prompts: list[list[int]], side: str) -> TokenBatch:
    """All prompts in one batch, filled up on one side or, for "both", on the two."""
    width = max(map(len, prompts)) + 3
    tokens = torch.full((len(prompts), width), PAD)
    mask = torch.zeros((len(prompts), width), dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        room = width - len(prompt)
        start = {"right": 0, "left": room, "both": room // 2}[side]
        tokens[row, start : start + len(prompt)] = torch.tensor(prompt)
        mask[row, start : start + len(prompt)] = True
    return TokenBatch(tokens, mask, tuple(range(len(prompts))))


def one_by_one(model: object, prompts: list[list[int]]) -> torch.Tensor:
    """The truth: transformers' own hidden states, a prompt at a time."""
    written: list[torch.Tensor] = []
    hooks = [
        block.register_forward_hook(lambda _m, _i, out: written.append(out)) for block in model.model.layers
    ]
    rows = []
    for prompt in prompts:
        with torch.no_grad():
            model.model(torch.tensor([prompt]), use_cache=False)
        rows.append(torch.stack([states[0, -1] for states in written]))
        written.clear()
    for hook in hooks:
        hook.remove()
    return torch.stack(rows, dim=1)


def last_states(blocks: object, prompts: list[list[int]]) -> torch.Tensor:
    """The residual stream after every block at each prompt's last token: [L, N, D]."""
    return torch.stack([layer.last for layer in stream(blocks, token_batches(prompts))])


@pytest.mark.parametrize("folder", ["grouped", "ungrouped"])
def test_states_are_those_of_the_whole_model(
    folder: str, prompts: list[list[int]], request: pytest.FixtureRequest
) -> None:
    model = load_float(request.getfixturevalue(folder))
    found = last_states(model, prompts)
    assert found.shape == (4, 6, 64)
    torch.testing.assert_close(found, one_by_one(model, prompts), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["right", "left", "both"])
@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_padding_changes_nothing(tmp_path: Path, family: str, side: str, prompts: list[list[int]]) -> None:
    # mistral's window is shorter than the longest prompt here
    prompts = [*prompts, list(range(10, 40))]
    model = load_float(write_folder(tmp_path / "model", family))
    layers = list(stream(model, [padded(prompts, side)]))
    assert all(layer.last.isfinite().all() for layer in layers)
    found = torch.stack([layer.last for layer in layers])
    torch.testing.assert_close(found, one_by_one(model, prompts), rtol=1e-4, atol=1e-4)


def test_mixed_lengths_together_give_the_same(grouped: Path, prompts: list[list[int]]) -> None:
    model = load_float(grouped)
    batches = token_batches(prompts, rows=4, pad=PAD)
    assert [batch.tokens.shape for batch in batches] == [(4, 12), (2, 12)]
    found = torch.stack([layer.last for layer in stream(model, batches)])
    torch.testing.assert_close(found, last_states(model, prompts), rtol=1e-4, atol=1e-4)


def test_the_model_is_left_as_it_was(grouped: Path, prompts: list[list[int]]) -> None:
    model = load_float(grouped)
    with torch.no_grad():
        before = model(torch.tensor(prompts[:1])).logits
    first_calls(model, token_batches(prompts))
    assert all("forward" not in vars(module) for module in model.modules())
    assert not any(p.requires_grad is False for p in model.parameters())
    with torch.no_grad():
        assert torch.equal(before, model(torch.tensor(prompts[:1])).logits)


def test_it_is_left_as_it_was_after_an_error(grouped: Path) -> None:
    model = load_float(grouped)
    with pytest.raises(IndexError):
        first_calls(model, token_batches([[1, 10**6]]))
    assert all("forward" not in vars(module) for module in model.modules())


def test_no_block_runs_before_its_turn(grouped: Path, prompts: list[list[int]]) -> None:
    model = load_float(grouped)
    ran: list[int] = []
    for number, block in enumerate(model.model.layers):
        block.mlp.register_forward_hook(lambda *_, number=number: ran.append(number))
    layers = stream(model, token_batches(prompts, rows=6, pad=PAD))
    assert [(next(layers).number, list(ran)) for _ in range(3)] == [(0, [0]), (1, [0, 1]), (2, [0, 1, 2])]


def test_one_block_at_a_time_is_on_the_device(grouped: Path, prompts: list[list[int]]) -> None:
    # "meta" stands for a device that is not the CPU: what was lent lies there, the model's own block does not
    model = load_float(grouped)
    with ModelBlocks(model).lent(1, torch.device("meta")) as block:
        assert {p.device.type for p in block.parameters()} == {"meta"}
        assert {p.device.type for p in model.parameters()} == {"cpu"}
    with ModelBlocks(model).lent(1, torch.device("cpu")) as block:
        assert block is model.model.layers[1]


def test_a_block_on_another_device_is_a_copy_with_the_same_weights(grouped: Path) -> None:
    model = load_float(grouped)
    own = model.model.layers[1]
    # "cpu:0" is another device by its name
    with ModelBlocks(model).lent(1, torch.device("cpu:0")) as block:
        assert block is not own
        for (name, mine), (other, theirs) in zip(
            block.named_parameters(), own.named_parameters(), strict=True
        ):
            assert (name, mine.requires_grad) == (other, theirs.requires_grad)
            assert mine.data_ptr() != theirs.data_ptr()
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("rows", [(0, 0), (0, 2)])
def test_batches_that_are_not_all_the_prompts(grouped: Path, rows: tuple[int, int]) -> None:
    batch = TokenBatch(torch.ones((2, 3), dtype=torch.int64), torch.ones((2, 3), dtype=torch.bool), rows)
    with pytest.raises(InputError, match="leave out a prompt"):
        list(stream(load_float(grouped), [batch]))


def test_unpadded_batches_hold_every_prompt_once(prompts: list[list[int]]) -> None:
    batches = unpadded(prompts)
    assert [tuple(batch.shape) for batch in batches] == [(1, 7), (2, 9), (3, 12)]
    assert sorted(row for batch in batches for row in batch.tolist()) == sorted(prompts)
    # in the order asked within one length
    assert batches[1].tolist() == [prompt for prompt in prompts if len(prompt) == 9]
    assert [len(batch) for batch in unpadded([[1, 2]] * 70)] == [32, 32, 6]


@pytest.mark.parametrize("prompts", [[], [[1], []]])
def test_nothing_to_go_through(prompts: list[list[int]]) -> None:
    with pytest.raises(InputError, match="give some text"):
        token_batches(prompts)


def test_a_row_of_padding_has_no_last_token() -> None:
    with pytest.raises(InputError, match="all padding"):
        last_positions(torch.tensor([[True, False], [False, False]]))


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7).filter(any), min_size=1, max_size=5))
def test_the_last_true_position(mask: list[list[bool]]) -> None:
    expected = [max(place for place, own in enumerate(row) if own) for row in mask]
    assert last_positions(torch.tensor(mask)).tolist() == expected
    hidden = torch.arange(len(mask) * 7).reshape(len(mask), 7, 1)
    assert at_last_token(hidden, torch.tensor(mask)).flatten().tolist() == [
        7 * row + place for row, place in enumerate(expected)
    ]


@given(
    st.lists(st.lists(st.integers(4, 99), min_size=1, max_size=6), min_size=1, max_size=12),
    st.integers(1, 4),
    st.sampled_from([None, PAD]),
)
def test_batches_hold_every_prompt_once(prompts: list[list[int]], rows: int, pad: int | None) -> None:
    batches = token_batches(prompts, rows=rows, pad=pad)
    found = {
        row: batch.tokens[place][batch.mask[place]].tolist()
        for batch in batches
        for place, row in enumerate(batch.rows)
    }
    assert found == dict(enumerate(prompts))
    assert all(len(batch.rows) <= rows for batch in batches)
    assert sum(len(batch.rows) for batch in batches) == len(prompts)
    if pad is None:
        assert all(batch.mask.all() for batch in batches)
