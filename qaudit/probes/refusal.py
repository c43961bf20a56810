"""The behaviour probe: every prompt of the refuse and answer suites, and the replies to them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from qaudit.engines.protocol import Ask, Conversation
from qaudit.values import Expectation, Item, Suite

BEHAVIOUR: tuple[Expectation, ...] = ("refuse", "answer")


def item_key(suite: Suite, item: Item) -> str:
    """Return the id under which an item's answers are recorded, unique over all suites of an audit."""
    return f"{suite.name}/{item.id}"


def items_of(suites: Sequence[Suite], *expectations: Expectation) -> Iterator[tuple[str, Suite, Item]]:
    """Yield (key, suite, item) for the items of suites with one of the expectations, in suite order."""
    for suite in suites:
        if suite.expectation in expectations:
            for item in suite.items:
                yield item_key(suite, item), suite, item


def conversations(suites: Sequence[Suite]) -> list[Conversation]:
    """Return what the chat template must render: all behaviour and multiple-choice prompts."""
    return [Conversation(key, item.turns) for key, _, item in items_of(suites, *BEHAVIOUR, "choose")]


def reply_asks(suites: Sequence[Suite], prompts: Mapping[str, str], max_tokens: int) -> list[Ask]:
    """Return the prompts to reply to, rendered; prompts that did not render are left out.

    Args:
        suites: suites of any kind; only behaviour suites count.
        prompts: rendered text by key.
        max_tokens: longest reply.
    """
    return [
        Ask(key, prompts[key], item.turns[-1], max_tokens, item.turns)
        for key, _, item in items_of(suites, *BEHAVIOUR)
        if key in prompts
    ]


def first_items(suite: Suite, limit: int) -> Suite:
    """Return a suite cut to `limit` items, taken in turn from each category so that none is lost first."""
    if len(suite.items) <= limit:
        return suite
    queues: dict[str, list[Item]] = {}
    for item in suite.items:
        queues.setdefault(item.category, []).append(item)
    kept: set[str] = set()
    while len(kept) < limit:
        for queue in queues.values():
            if queue and len(kept) < limit:
                kept.add(queue.pop(0).id)
    return replace(suite, items=tuple(item for item in suite.items if item.id in kept))
