"""YAML from strangers: plain values only, one meaning per text.

No alias (which lets a small file grow without end), no deep nesting (which costs quadratic time), no
key twice (of which the standard loader keeps the last).
"""

from typing import Any

import yaml


def load_strict_yaml(data: bytes, max_depth: int) -> object:
    """Parse one YAML document in UTF-8.

    Raises:
        ValueError: one line saying what is wrong and, where known, in which line.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8; save the file as UTF-8") from error
    loader: _StrictLoader | None = None
    try:
        loader = _StrictLoader(text)
        loader.levels_left = max_depth
        return loader.get_single_data()
    except _Refused as error:
        raise ValueError(str(error)) from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}not YAML ({_shown(error.problem or '')})") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, KeyError, AttributeError) as error:
        # yaml's own constructors let such errors out for dates, numbers and tags that make no sense
        raise ValueError(f"not readable as YAML ({_shown(str(error))})") from error
    finally:
        if loader is not None:
            loader.dispose()


class _Refused(yaml.YAMLError):
    def __init__(self, mark: yaml.Mark, problem: str) -> None:
        super().__init__(f"line {mark.line + 1}: {_shown(problem)}")


class _StrictLoader(yaml.SafeLoader):
    levels_left = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _Refused(self._mark(), "aliases (*name) are not allowed; write it out")
        if not self.levels_left and not self.check_event(yaml.ScalarEvent):
            raise _Refused(self._mark(), "nested too deep; write flat keys")
        self.levels_left -= 1
        node = super().compose_node(parent, index)
        self.levels_left += 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if name in seen:
                raise _Refused(key.start_mark, f"key {name[:80]} comes twice; remove one")
            seen.add(name)
        return super().construct_mapping(node, deep=deep)

    def _mark(self) -> yaml.Mark:
        mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        return mark


def _shown(text: str) -> str:
    words = " ".join(text.split())[:200]
    return "".join(c for c in words if c.isprintable())
