from qaudit.static.lazy_pattern import LazyPattern


def test_is_compiled_once_and_only_when_used() -> None:
    pattern = LazyPattern(rb"a(b+)")
    assert "compiled" not in vars(pattern)
    found = pattern.search(b"xabb")
    assert found is not None
    assert found[1] == b"bb"
    assert pattern.match(b"xab") is None
    assert [match[0] for match in pattern.finditer(b"ab abb")] == [b"ab", b"abb"]
    assert pattern.compiled is pattern.compiled
