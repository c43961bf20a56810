import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from qaudit.strict_yaml import load_strict_yaml


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"name: a\nname: b", "line 2: key name comes twice"),
        (b"outer:\n  a: 1\n  b: 2\n  a: 3", "line 4: key a comes twice"),
        (b"a: &x {b: c}\nd: *x", "line 2: aliases"),
        (b"a:\n  b:\n    c:\n      d: [1]", "line 4: nested too deep"),
        (b"[" * 60_000, "line 1: nested too deep"),
        (b"a: \xff", "byte 3 is not UTF-8"),
        (b"a: [1", "line 1: not YAML (expected"),
        (b"a: 2000-99-99", "not readable as YAML"),
        (b"a: !!python/object:os.system x", "line 1: not YAML (could not determine a constructor"),
        (b"a: 1\n---\nb: 2", "but found another document"),
    ],
)  # fmt: skip
def test_what_has_no_single_meaning_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=r"(line|byte|not readable)") as caught:
        load_strict_yaml(text, max_depth=4)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_depth_is_counted_in_levels() -> None:
    assert load_strict_yaml(b"a: {b: [1, {c: 2}]}", max_depth=4) == {"a": {"b": [1, {"c": 2}]}}
    with pytest.raises(ValueError, match="nested too deep"):
        load_strict_yaml(b"a: {b: [1, {c: 2}]}", max_depth=3)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_plain_values_come_back(value: object) -> None:
    text = yaml.dump(value, Dumper=_NoAlias)
    assert load_strict_yaml(text.encode(), max_depth=20) == value


class _NoAlias(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        return True


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        load_strict_yaml(data, max_depth=8)
