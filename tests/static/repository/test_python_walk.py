import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_time import at_most

from qaudit.static.repository.python_walk import MAX_TOKENS, walk_python


def when(source: str, name: str = "exec") -> list[str]:
    return [call.when for call in walk_python("x.py", source.encode()).calls if call.name == name]


@pytest.mark.parametrize(
    ("source", "times"),
    [
        ("exec('1')", ["import"]),
        ("def f():\n  exec('1')", ["call"]),
        ("def f():\n  exec('1')\nf()", ["import"]),
        ("def g():\n  exec('1')\ndef f():\n  g()\nf()", ["import"]),
        ("class A:\n  exec('1')", ["import"]),
        ("class A:\n  def __init__(self):\n    exec('1')\nA()", ["import"]),
        ("class A:\n  def run(self):\n    exec('1')", ["call"]),
        ("def f(x=exec('1')): pass", ["import"]),
        ("(lambda: exec('1'))()", ["import"]),
        ("f = lambda: exec('1')", ["call"]),
        ("if __name__ == '__main__':\n  exec('1')", ["main"]),
        ("@exec('1')\ndef f(): pass", ["import"]),
        ("@exec\ndef f(): pass", ["import"]),
        ("@exec\nclass A: pass", ["import"]),
        ("def g():\n  @exec\n  def f(): pass", ["call"]),
        ("import builtins as b\nrun = getattr(b, 'ex' + 'ec')\nrun('1')", ["import"]),
        ("run = b.exec\nrun('1')\nimport builtins as b", ["import"]),
    ],
)
def test_when_it_runs(source: str, times: list[str]) -> None:
    assert when(source) == times


def test_what_a_call_is_given() -> None:
    walk = walk_python(
        "x.py",
        b"import base64, os\nexec(base64.b64decode('eA=='), flag=True)\nprint(os.environ)\nmap(eval, x)\n",
    )
    by_name = {call.name: call for call in walk.calls}
    assert by_name["exec"].fed == ("base64.b64decode",)
    assert by_name["exec"].argument == "x"
    assert by_name["exec"].keywords == {"flag": True}
    assert by_name["print"].handed == "os.environ"
    assert walk.handed_on == [(4, "eval")]


def test_texts() -> None:
    walk = walk_python(
        "x.py",
        b"a = 'short'\nb = '"
        + b"QUJD" * 300
        + b"'\nc = '''"
        + b"words and more words " * 50
        + b"'''\nx.__subclasses__\n",
    )
    assert walk.texts == [(1, "short")]
    assert walk.literals == [(2, 1200)]
    assert walk.odd == [(4, "__subclasses__")]


@pytest.mark.parametrize(
    "source",
    [
        b"def x(:", b"print 'x'", b"x = " + b"(" * 3000 + b")" * 3000, b"a" + b"+a" * 20_000, b"-" * 50_000 + b"1",
        b"\x00", b"f(1)\n" * MAX_TOKENS, b"[" * 90 + b"]" * 89,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_problem_and_takes_no_time(source: bytes) -> None:
    with at_most(3):
        assert walk_python("x.py", source).problem


def test_encodings() -> None:
    assert walk_python("x.py", b"# -*- coding: utf-7 -*-\nx = 1").encoding == "utf-7"
    walk = walk_python("x.py", b"# coding: utf-7\n+AGUAdgBhAGw-('1')\n")
    assert [call.name for call in walk.calls] == ["eval"]


@settings(max_examples=150)
@given(st.binary(max_size=200), st.sampled_from([b"", b"import os\n", b"exec(", b"class A:\n  x="]))
def test_never_raises(data: bytes, start: bytes) -> None:
    walk_python("x.py", start + data)
