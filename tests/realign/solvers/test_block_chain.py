"""What a block should write is the parent's on benign prompts and the reference's on malicious ones."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")

from tiny_llamas import other_than, prompts, tiny_llama  # noqa: E402

from realign.activation_stream import stream, token_batches  # noqa: E402
from realign.decoder_blocks import blocks_of  # noqa: E402
from realign.grids.group_grid import GroupGrid  # noqa: E402
from realign.job import CalibrationTokens, Job  # noqa: E402
from realign.objective import Objective  # noqa: E402
from realign.solvers.block_chain import BlockChain, replaced, same_weights  # noqa: E402
from realign.solvers.packed_layers import packed_weights  # noqa: E402
from realign.solvers.settled import Settled  # noqa: E402

CPU = torch.device("cpu")
MALICIOUS, BENIGN = prompts(3, 5), prompts(4, 4)


def job(*, same: bool = False) -> Job:
    reference = tiny_llama(0, sharpness=3.0)
    parent = other_than(reference, 1, 0.0 if same else 0.5)
    return Job(parent, reference, CalibrationTokens(MALICIOUS, BENIGN), {}, 0, frozenset((2,)))


@pytest.mark.parametrize("same", [False, True])
def test_each_class_has_its_teacher_in_every_block(same: bool) -> None:
    given = job(same=same)
    chain = BlockChain(given, Objective(), None, rows=4, device=CPU)
    both = [*MALICIOUS, *BENIGN]
    alone = token_batches(both)
    for number, (parent, reference) in enumerate(
        zip(stream(given.parent, alone), stream(given.reference, alone), strict=True)
    ):
        batches = chain.layer_batches()
        assert any(not bool(batch.mask.all()) for batch in batches)
        for batch, tokens in zip(batches, token_batches(both, rows=4, pad=0), strict=True):
            last = batch.meant[torch.arange(len(batch.mask)), batch.mask.sum(dim=1) - 1]
            rows = list(tokens.rows)
            meant = torch.where(batch.malicious[:, None], reference.last[rows], parent.last[rows])
            assert torch.allclose(last, meant, atol=1e-4)
            assert batch.malicious.tolist() == [row < len(MALICIOUS) for row in rows]
        # left as it is, a block hands on what the parent's own writes
        chain.advance({}, batches)
        assert chain.number == number + 1


def test_whoever_asks_for_the_block_while_it_is_lent_is_given_the_same() -> None:
    # "cpu:0" is another device by its name: blocks are lent as copies
    chain = BlockChain(job(), Objective(), None, rows=4, device=torch.device("cpu:0"))
    with chain.block() as outer:
        with chain.block() as inner:
            assert inner is outer
        with chain.block() as again:
            assert again is outer
    with chain.block() as later:
        assert later is not outer


def test_packed_matrices_stand_in_for_their_weights() -> None:
    grid = GroupGrid(4, 32, symmetric=False)
    found = []
    for packed in (False, True):
        chain = BlockChain(job(), Objective(), None, rows=4, device=CPU)
        batches = chain.layer_batches()
        with chain.block() as block:
            weight = block.get_submodule("mlp.up_proj").weight.detach()
        by_group = weight.reshape(len(weight), -1, 32)
        settled = Settled({"mlp.up_proj": (weight, by_group.amin(dim=-1), by_group.amax(dim=-1))}, {})
        codes = packed_weights(settled, {"mlp.up_proj": grid}) if packed else {}
        assert set(codes) == (set(settled.matrices) if packed else set())
        rest = settled.without(codes).parameters({"mlp.up_proj": grid})
        chain.advance(rest, batches, packed=codes)
        found.append([batch.hidden for batch in chain.layer_batches()])
    for dense, coded in zip(*found, strict=True):
        assert torch.allclose(dense, coded, atol=1e-4)
        assert not torch.equal(dense, torch.zeros_like(dense))


def test_the_next_block_is_given_what_the_rounded_one_writes() -> None:
    given = job()
    chain = BlockChain(given, Objective(), None, rows=4, device=CPU)
    batches = chain.layer_batches()
    chain.advance({"input_layernorm.weight": torch.zeros(32)}, batches)
    without_attention = chain.layer_batches()
    with chain.block():
        first = blocks_of(given.parent)[0]
    for before, after in zip(batches, without_attention, strict=True):
        fed = before.hidden
        expected = fed + first.mlp(first.post_attention_layernorm(fed))
        assert torch.allclose(after.hidden, expected, atol=1e-4)


def test_rounded_embeddings_go_in_and_the_parent_keeps_its_own() -> None:
    given = job()
    before = given.parent.get_input_embeddings().weight.clone()
    plain = BlockChain(given, Objective(), None, rows=4, device=CPU).layer_batches()
    other = BlockChain(given, Objective(), before * 2, rows=4, device=CPU).layer_batches()
    for one, two in zip(plain, other, strict=True):
        assert torch.allclose(two.hidden, one.hidden * 2)
        assert torch.equal(two.meant, one.meant)
    assert torch.equal(given.parent.get_input_embeddings().weight, before)


def test_weights_come_back_after_an_error() -> None:
    module = torch.nn.Linear(2, 2)
    before = module.weight.clone()

    def fails_inside() -> None:
        with replaced(module, torch.zeros(2, 2)):
            assert not module.weight.any()
            raise KeyError

    with pytest.raises(KeyError):
        fails_inside()
    assert torch.equal(module.weight, before)


def test_importance_is_the_mean_square_over_own_tokens() -> None:
    given = job()
    chain = BlockChain(given, Objective(), None, rows=4, device=CPU)
    batches = chain.layer_batches()
    with chain.block() as block:
        found = chain.importance(block, batches)
        norm = block.get_submodule("input_layernorm")
        rows = torch.cat([norm(batch.hidden)[batch.mask] for batch in batches])
    assert torch.allclose(found["self_attn.k_proj"], rows.square().mean(dim=0), rtol=1e-4)
    assert found["mlp.down_proj"].shape == (64,)


def test_same_weights() -> None:
    one = tiny_llama(0)
    assert same_weights(one, tiny_llama(0))
    assert not same_weights(one, tiny_llama(1))
    assert not same_weights(one, torch.nn.Linear(2, 2))
