import subprocess
import sys
from pathlib import Path

import pytest

import qaudit

LEAN = (
    "import sys; before = set(sys.modules); sys.path.insert(0, {root!r});"
    "from qaudit.static.templates.lean_jinja import import_lean_jinja; import_lean_jinja();"
)
RENDER = (
    "from qaudit.sandboxed_templates import chat_environment, compiled_template, rendered_text;"
    "text = '{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{{ m | upper | tojson }}{% endfor %}';"
    "print(rendered_text(compiled_template(text, chat_environment()), {'messages': ['a', 'b']}));"
)


def said(code: str) -> list[str]:
    script = LEAN.replace("{root!r}", repr(str(Path(qaudit.__file__).parent.parent))) + code
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_sandbox_works_without_what_it_does_not_need() -> None:
    told = said(
        RENDER + "print({'jinja2.loaders', 'jinja2.bccache', 'pickle'} & (set(sys.modules) - before) or '[]')"
    )
    assert told == ['"A"', "[]"]


def test_a_release_that_is_put_together_differently_is_imported_whole() -> None:
    # the package's own names are then there, as `import jinja2` gives them
    first = "from qaudit.static.templates import lean_jinja; lean_jinja.NEEDED = ('gone',);"
    whole = LEAN.replace("import_lean_jinja();", first + "import_lean_jinja();")
    script = whole.replace("{root!r}", repr(str(Path(qaudit.__file__).parent.parent)))
    code = script + RENDER + "import jinja2; print(jinja2.Environment.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ['"A"', "Environment"]


@pytest.mark.parametrize("before", ["import jinja2;", "import jinja2; import jinja2.nodes;"])
def test_what_is_imported_already_is_left_alone(before: str) -> None:
    code = "again = sys.modules['jinja2']; import_lean_jinja(); print(again is sys.modules['jinja2'])"
    root = repr(str(Path(qaudit.__file__).parent.parent))
    script = before + LEAN.replace("{root!r}", root) + code
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
