import pytest
from template_kit import CHATML

from qaudit.static.model_parts import TemplateText, VocabularyView
from qaudit.static.templates.markers import BOOK, Marked


def missing(*tokens: str, text: str = CHATML) -> list[str]:
    case = Marked((TemplateText("t", "default", text),), VocabularyView("v", "gpt2", tokens))
    return [finding.evidence for finding in BOOK.findings(case)]


def test_markers_that_are_no_tokens() -> None:
    assert missing("a", "<|im_start|>", "<|im_end|>") == []
    assert missing("a", "<|im_start|>") == ["<|im_end|>"]


def test_added_tokens_count() -> None:
    view = VocabularyView(
        "v", "gpt2", ("a",), added={"<|im_start|>": (1, frozenset()), "<|im_end|>": (2, frozenset())}
    )
    assert BOOK.findings(Marked((TemplateText("t", "default", CHATML),), view)) == []


def test_nothing_is_said_without_a_vocabulary_or_markers() -> None:
    assert missing() == []
    assert missing("a", text="{{ messages }}") == []


def test_it_is_only_worth_knowing() -> None:
    case = Marked((TemplateText("t", "default", CHATML),), VocabularyView("v", "gpt2", ("a",)))
    assert {finding.severity for finding in BOOK.findings(case)} == {"info"}


@pytest.mark.parametrize(
    "near", ["<|IM_END|>", "<|im_end |>", "<| im_end|>", "<|imend|>", "<｜im_end｜>", "<|im-end|>"]
)
def test_a_marker_that_only_looks_like_a_token(near: str) -> None:
    view = VocabularyView("v", "gpt2", ("a", "<|im_start|>", "<|im_end|>"))
    template = TemplateText("t", "default", CHATML.replace("<|im_end|>", near))
    found = [f for f in BOOK.findings(Marked((template,), view)) if f.id == "template/near-marker"]
    assert [f.severity for f in found] == ["medium"]
    assert "<|im_end|>" in found[0].evidence


DEEPSEEK = ("<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<think>")


@pytest.mark.parametrize(
    ("near", "token"),
    [
        ("<｜end_of_sentence｜>", "<｜end▁of▁sentence｜>"),
        ("<|end▁of▁sentence|>", "<｜end▁of▁sentence｜>"),
        ("<｜end of sentence｜>", "<｜end▁of▁sentence｜>"),
        ("<｜End▁of▁Sentence｜>", "<｜end▁of▁sentence｜>"),
        ("<∣end▁of▁sentence∣>", "<｜end▁of▁sentence｜>"),
        ("<｜end＿of＿sentence｜>", "<｜end▁of▁sentence｜>"),
        ("<|User|>", "<｜User｜>"),
        ("<│Assistant│>", "<｜Assistant｜>"),
    ],
)
def test_markers_with_wide_bars_are_compared(near: str, token: str) -> None:
    view = VocabularyView("v", "gpt2", ("a", *DEEPSEEK))
    template = TemplateText("t", "default", "".join(DEEPSEEK).replace(token, near))
    found = [f for f in BOOK.findings(Marked((template,), view)) if f.id == "template/near-marker"]
    assert [(f.severity, f.evidence) for f in found] == [
        ("medium", f"{ascii(near)[1:-1]} beside the token {ascii(token)[1:-1]}")
    ]


def test_markers_with_wide_bars_as_they_are() -> None:
    view = VocabularyView("v", "gpt2", ("a", *DEEPSEEK, "<|end_of_sentence|>", "<|User|>"))
    for text in ("".join(DEEPSEEK), "<|end_of_sentence|><|User|>", "<｜fim▁hole｜><|x|>"):
        found = BOOK.findings(Marked((TemplateText("t", "default", text),), view))
        assert "template/near-marker" not in {f.id for f in found}


def test_markers_of_another_family_are_not_near() -> None:
    view = VocabularyView("v", "gpt2", ("<s>", "</s>", "<|end|>", "<|end_of_sentence|>"))
    template = TemplateText("t", "default", "<|user|><|assistant|><|endoftext|><|eot_id|>")
    assert {f.id for f in BOOK.findings(Marked((template,), view))} == {"template/unknown-marker"}


def test_half_of_a_pair_with_a_stand_in_for_the_other() -> None:
    view = VocabularyView("v", "gpt2", ("a", "<|im_start|>", "<|im_end|>"))
    template = TemplateText("t", "default", CHATML.replace("<|im_start|>", "<|turn|>"))
    found = [f for f in BOOK.findings(Marked((template,), view)) if f.id == "template/half-pair"]
    assert [(f.severity, f.evidence) for f in found] == [
        ("medium", "<|im_end|> with <|turn|>, no token, in place of <|im_start|>")
    ]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        # roles as letters, turns closed by a token that has no other half: Zephyr's way
        (("<s>", "</s>", "<|im_start|>", "<|im_end|>"), "<|user|>\n</s><|assistant|>\n"),
        # the other half is no token
        (("<|im_end|>",), "<|im_start|>user<|im_end|>"),
        # the other half is not needed, nothing stands in for it
        (("<|im_start|>", "<|im_end|>"), "{{ messages }}<|im_end|>"),
        (("<|im_start|>", "<|im_end|>"), "<|im_start|><|im_end|><|tool|>"),
    ],
)
def test_pairs_that_are_whole_or_not_pairs(tokens: tuple[str, ...], text: str) -> None:
    case = Marked((TemplateText("t", "default", text),), VocabularyView("v", "gpt2", tokens))
    assert "template/half-pair" not in {f.id for f in BOOK.findings(case)}
