"""Replies as they are stored, and how likely they are before anything is changed."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_llamas import prompts, tiny_llama  # noqa: E402

from realign.reply_rows import logits_where, reply_log_probabilities, reply_rows  # noqa: E402
from realign.solvers.preference_data import PreferenceData, base_log_probabilities, stored_data  # noqa: E402


def test_data_come_back_as_they_were() -> None:
    asked = list(prompts(1, 3))
    data = PreferenceData(
        asked,
        [(4, 2), (), (5,)],
        [(4, 2), (6,), (5, 2)],
        asked[:2],
        [(7,), (8, 9)],
        [(1, 3)],
        torch.randn(2, 3),
    )
    back = stored_data(data.tensors())
    assert all(torch.equal(back.tensors()[name], value) for name, value in data.tensors().items())
    assert back.preferred == data.preferred
    assert back.texts == data.texts
    assert back.differing == 2


def test_probabilities_do_not_depend_on_the_batch() -> None:
    model = tiny_llama(0, sharpness=2.0)
    asked, replies = prompts(2, 40), [(5, 6, 2)[: 1 + number % 3] for number in range(40)]
    found = base_log_probabilities(model, asked, replies)
    assert found.shape == (40,)
    for number in (0, 17, 39):
        rows = reply_rows(asked[number : number + 1], replies[number : number + 1])
        alone = reply_log_probabilities(logits_where(model, rows, rows.replies), rows)
        assert float(found[number]) == pytest.approx(float(alone), rel=1e-4)
