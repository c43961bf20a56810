"""What a teacher kept is what the model would say, also after the model is changed."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_llamas import prompts, tiny_llama  # noqa: E402

from realign.reply_rows import logits_where, reply_rows  # noqa: E402
from realign.solvers.teacher import Teacher  # noqa: E402


def test_it_says_what_the_model_said() -> None:
    model = tiny_llama(0)
    asked, replies = prompts(1, 40), [(5, 6, 2)[: 1 + number % 3] for number in range(40)]
    teacher = Teacher(model, asked, replies)
    chosen = [35, 2, 7]
    rows = reply_rows([asked[i] for i in chosen], [replies[i] for i in chosen])
    meant = logits_where(model, rows, rows.replies)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.allclose(teacher.logits(chosen), meant, atol=1e-4)
    assert not teacher.logits(chosen).requires_grad


def test_nothing_to_teach_is_no_error() -> None:
    assert Teacher(tiny_llama(0), [], []) is not None
