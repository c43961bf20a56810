import ast

import pytest

from qaudit.static.repository.python_names import Names


def names_of(source: str) -> tuple[Names, ast.expr]:
    tree = ast.parse(source)
    names = Names()
    for _ in range(2):
        for node in ast.walk(tree):
            names.learn(node)
    last = tree.body[-1]
    assert isinstance(last, ast.Expr)
    return names, last.value


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import os\nos.system", "os.system"),
        ("import os as x\nx.system", "os.system"),
        ("from os import system as s\ns", "os.system"),
        ("from os import *\nsystem", "os.system"),
        ("import os\ns = os.system\ns", "os.system"),
        ("import os\na = os.system\nb = a\nb", "os.system"),
        ("__import__('os').system", "os.system"),
        ("import importlib\nimportlib.import_module('o' + 's').system", "os.system"),
        ("import os\ngetattr(os, 'sys' + 'tem')", "os.system"),
        ("import sys\nsys.modules['os'].system", "os.system"),
        ("import os\nos.__dict__['system']", "os.system"),
        ("import os\nvars(os)['system']", "os.system"),
        ("__builtins__['eval']", "eval"),
        ("import builtins\nbuiltins.eval", "eval"),
        ("globals()['eval']", "eval"),
        ("requests.get", "<requests>.get"),
        ("eval", "eval"),
    ],
)
def test_real_names(source: str, name: str) -> None:
    names, node = names_of(source)
    found = names.dotted(node)[0] or (names.dotted(node.func)[0] if isinstance(node, ast.Call) else "")
    assert found == name


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("'a' + 'b'", "ab"),
        ("x = 'a'\nx + 'b'", "ab"),
        ("''.join(['a', 'b'])", "ab"),
        ("'ba'[::-1]", "ab"),
        ("f\"a{'b'}\"", "ab"),
        ("chr(97) + 'b'", "ab"),
        ("'xb'.replace('x', 'a')", "ab"),
        ("bytes.fromhex('6162').decode()", "ab"),
        ("import base64\nbase64.b64decode('YWI=').decode()", "ab"),
        ("import codecs\ncodecs.decode('no', 'rot13')", "ab"),
        ("x + y", None),
        ("'a' * 3", None),
        ("chr(99999999)", None),
        ("bytes.fromhex('zz')", None),
    ],
)
def test_constants(source: str, text: str | None) -> None:
    names, node = names_of(source)
    assert names.folded(node) == text
