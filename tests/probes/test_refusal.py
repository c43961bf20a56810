from qaudit.probes.refusal import conversations, first_items, item_key, items_of, reply_asks
from qaudit.values import Item, Suite


def suite(name: str, expectation: str, count: int, categories: int = 2) -> Suite:
    items = tuple(
        Item(f"{name}-{i}", f"c{i * categories // count}", (f"ask {i}",), ("a", "b"), 0) for i in range(count)
    )
    return Suite(name, "1", "Apache-2.0", expectation, "0" * 64, items)  # type: ignore[arg-type]


def test_items_of_keeps_suite_order_and_kind() -> None:
    suites = [suite("core", "refuse", 2), suite("quality", "choose", 1), suite("benign", "answer", 2)]
    assert [key for key, _, _ in items_of(suites, "refuse", "answer")] == [
        "core/core-0", "core/core-1", "benign/benign-0", "benign/benign-1",
    ]  # fmt: skip
    assert item_key(suites[0], suites[0].items[0]) == "core/core-0"


def test_passages_need_no_template() -> None:
    suites = [suite("core", "refuse", 1), suite("quality", "choose", 1), suite("reading", "read", 1)]
    assert [c.id for c in conversations(suites)] == ["core/core-0", "quality/quality-0"]


def test_prompts_that_did_not_render_are_left_out_and_choices_are_not_replied_to() -> None:
    suites = [suite("core", "refuse", 2), suite("quality", "choose", 1)]
    asks = reply_asks(suites, {"core/core-1": "<user>ask 1", "quality/quality-0": "x"}, 32)
    assert [(a.id, a.text, a.question, a.max_tokens) for a in asks] == [
        ("core/core-1", "<user>ask 1", "ask 1", 32)
    ]


def test_a_limit_takes_from_every_category_in_turn() -> None:
    cut = first_items(suite("core", "refuse", 12, categories=3), 4)
    assert [item.id for item in cut.items] == ["core-0", "core-1", "core-4", "core-8"]
    assert cut.name == "core"
    whole = suite("core", "refuse", 3)
    assert first_items(whole, 3) is whole
