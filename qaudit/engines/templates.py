"""Conversations of the suites rendered with a checkpoint's chat template, inside the worker's limits.

See `qaudit.sandboxed_templates` for why this runs only where time and memory are bounded.
"""

from collections.abc import Sequence

from qaudit.engines.protocol import Conversation, Rendered
from qaudit.sandboxed_templates import TemplateProblem, chat_environment, compiled_template, rendered_text


def render_conversations(
    template: str, conversations: Sequence[Conversation], special_tokens: dict[str, str]
) -> list[Rendered]:
    """Render each conversation with the generation prompt.

    Later user turns of a build-up follow an empty-handed assistant turn, because the replies in
    between are not generated: what is asked is the last turn, in the light of those before it.

    Args:
        template: Jinja source.
        conversations: user turns.
        special_tokens: bos_token, eos_token and the like.
    """
    try:
        compiled = compiled_template(template, chat_environment())
    except TemplateProblem as problem:
        return [Rendered(conversation.id, "", str(problem)) for conversation in conversations]
    rendered = []
    for conversation in conversations:
        variables = {
            "messages": messages_of(conversation.turns),
            "add_generation_prompt": True,
            "enable_thinking": False,
            **special_tokens,
        }
        try:
            rendered.append(Rendered(conversation.id, rendered_text(compiled, variables)))
        except TemplateProblem as problem:
            rendered.append(Rendered(conversation.id, "", str(problem)))
    return rendered


def messages_of(turns: Sequence[str]) -> list[dict[str, str]]:
    """Return chat messages for user turns, with a bland assistant turn between any two."""
    messages: list[dict[str, str]] = []
    for turn in turns:
        if messages:
            messages.append({"role": "assistant", "content": "Okay."})
        messages.append({"role": "user", "content": turn})
    return messages
