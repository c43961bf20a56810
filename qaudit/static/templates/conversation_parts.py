"""The parts of a conversation by the names that templates know them by, and what is within each part."""

from qaudit.static.templates.abstract_values import Value, ref
from qaudit.static.templates.comparisons import looked_up

ROLE_NAMES = {
    "model": "assistant", "bot": "assistant", "gpt": "assistant", "ai": "assistant", "chatbot": "assistant",
    "human": "user", "developer": "system", "ipython": "tool", "function": "tool", "observation": "tool",
    "tool_response": "tool", "tool_results": "tool",
}  # fmt: skip
_SOURCES = {
    "messages": ref("messages"), "tools": ref("tools"), "functions": ref("tools"), "documents": ref("schema"),
    "strftime_now": ref("clock"), "date_string": ref("date"), "now": ref("date"), "today": ref("date"),
    # names of Ollama's templates
    "system": ref("content", roles=frozenset({"system"})),
    "prompt": ref("content", roles=frozenset({"user"})),
    "response": ref("content", roles=frozenset({"assistant"})),
}  # fmt: skip
_ASSISTANT_KEYS = {"reasoning_content", "reasoning", "thinking", "thought", "arguments"}


def source(name: str) -> Value:
    """Return what a variable is that the template did not set itself."""
    return _SOURCES.get(name, ref("option"))


def part_of(of: Value, key: Value, roles: frozenset[str]) -> Value:
    """Return what lies in a value under a key.

    Args:
        of: which value.
        key: the key; one that is not known may be any.
        roles: what the message that is looked at may have.
    """
    name = key.constant if isinstance(key.constant, str) else ""
    refs, whose = _refs_within(of.refs, name, roles)
    found = Value(
        frozenset(refs),
        whose or (of.roles if "content" in refs else frozenset()),
        of.texts,
        of.guards,
        of.edits,
        of.against if "date" in refs else frozenset(),
    )
    # which of the template's own texts is taken depends on what is looked up
    taken_by = [*key.guards, *looked_up(key, of)]
    return found.guarded(taken_by) if of.texts else found


def _refs_within(
    refs: frozenset[str], name: str, of_message: frozenset[str]
) -> tuple[set[str], frozenset[str]]:
    found: set[str] = set()
    roles: frozenset[str] = frozenset()
    for part in refs:
        match part:
            case "messages":
                found.add("message")
            case "message" if name == "role":
                found.add("role")
            case "message" if name in _ASSISTANT_KEYS:
                found, roles = found | {"content"}, roles | {"assistant"}
            case "message" if name == "content" or not name:
                found, roles = found | {"content"}, roles | of_message
            case "message" if name == "tool_calls":
                found.add("calls")
            case "content" | "part" if name == "type":
                found.add("type")
            case "part":
                found, roles = found | {"content"}, roles | of_message
            case "content":
                found.add("content")
            case "tools" | "tool" if name == "name":
                found.add("tool-name")
            case "tools" | "tool" if name in ("", "function"):
                found.add("tool")
            case "calls" if name == "name":
                found.add("tool-name")
            case "calls" if name in _ASSISTANT_KEYS:
                found, roles = found | {"content"}, roles | {"assistant"}
            case "calls":
                found.add("calls")
            case "loop" if name in ("first", "last"):
                found.add("form")
            case "loop" if name == "length":
                found.add("count")
            case "loop" if name in ("previtem", "nextitem"):
                found.add("message")
            case "loop":
                found.add("position")
            case "tools" | "tool" | "schema" | "message":
                found.add("schema")
            case _:
                found.add(part)
    return found, roles
