from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from template_kit import GO

from qaudit.static.byte_source import LocalBytes
from qaudit.static.case import Case
from qaudit.static.model_parts import Examined
from qaudit.static.templates.modelfile import MOST_BYTES, inspect_modelfile, read_modelfile


def inspected(folder: Path, text: str) -> Examined:
    path = folder / "Modelfile"
    path.write_text(text)
    with LocalBytes(path) as source:
        return inspect_modelfile(source, Case())


def test_instructions_and_their_values() -> None:
    read = read_modelfile(
        "m",
        '# note\nFROM ./a.gguf\nparameter stop "x y"\nSYSTEM """two\nlines"""\nMESSAGE user hi there\n\nLICENSE MIT\n',
    )
    assert [(i.word, i.key, i.value, i.line) for i in read.instructions] == [
        ("FROM", "", "./a.gguf", 2), ("PARAMETER", "stop", "x y", 3), ("SYSTEM", "", "two\nlines", 4),
        ("MESSAGE", "user", "hi there", 6), ("LICENSE", "", "MIT", 8),
    ]  # fmt: skip
    assert read.problems == []


def test_what_cannot_be_read_is_noted() -> None:
    read = read_modelfile("m", 'RUN curl\nFROM a\nTEMPLATE """never\nclosed\n')
    assert [line for line, _ in read.problems] == [1, 3]
    assert [i.value for i in read.instructions] == ["a", "never\nclosed\n"]
    assert read_modelfile("m", 'SYSTEM """a""" b\n').problems
    assert read_modelfile("m", 'SYSTEM "a\n').problems


def test_templates_are_given_on(tmp_path: Path) -> None:
    examined = inspected(tmp_path, f'FROM ./a.gguf\nTEMPLATE """{GO}"""\n')
    assert examined.parts is not None
    (template,) = examined.parts.templates
    assert (template.location, template.name, template.dialect, template.text) == (
        "Modelfile:TEMPLATE",
        "default",
        "go",
        GO,
    )
    assert [(s.path, s.kind, s.state) for s in examined.surfaces] == [("Modelfile", "modelfile", "examined")]
    assert examined.findings == []


def test_a_huge_one_is_partial(tmp_path: Path) -> None:
    examined = inspected(tmp_path, "# " + "x" * MOST_BYTES + "\n")
    assert [s.state for s in examined.surfaces] == ["partial"]


@given(st.text(alphabet='FROMSYTELA"# \n\r.user/', max_size=200))
def test_any_text_is_read(text: str) -> None:
    read = read_modelfile("m", text)
    assert len(read.instructions) + len(read.problems) <= text.count("\n") * 2 + 2
