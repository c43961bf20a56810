import inspect

import pytest

from qaudit import errors
from qaudit.errors import ExitCode, GateFailure, LimitExceeded, MalformedFile, MissingExtra, QauditError


def classes() -> list[type[QauditError]]:
    found = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, QauditError)]
    return sorted(found, key=lambda c: c.__name__)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    lines = (errors.__doc__ or "").splitlines()
    depth_of: dict[str, int] = {}
    parents: dict[int, str] = {}
    for line in lines:
        name = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ").split()
        if name and hasattr(errors, name[0]) and line.startswith("    "):
            stripped = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ")
            depth = (len(stripped) - len(stripped.lstrip()) - 4) // 4
            depth_of[name[0]] = depth
            parents[depth] = name[0]
            if depth:
                assert getattr(errors, name[0]).__base__.__name__ == parents[depth - 1]
    assert set(depth_of) == {c.__name__ for c in classes()}


@pytest.mark.parametrize("error", classes(), ids=lambda c: c.__name__)
def test_only_a_gate_ends_with_1(error: type[QauditError]) -> None:
    assert error.exit_code == (ExitCode.GATE_FAILED if issubclass(error, GateFailure) else ExitCode.UNABLE)


def test_codes_are_the_contracts() -> None:
    assert [
        int(code) for code in (ExitCode.PASS, ExitCode.GATE_FAILED, ExitCode.UNABLE, ExitCode.INCONCLUSIVE)
    ] == [0, 1, 2, 3]


def test_messages_name_file_problem_and_mend() -> None:
    assert str(MalformedFile("a.gguf", "cut off")) == "a.gguf: cut off; download it again"
    assert str(LimitExceeded("a.gguf", "too long", "check it")) == "a.gguf: too long; check it"
    assert str(MissingExtra("x", "gguf")) == "x is not installed; run: pip install 'qaudit[gguf]'"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("a\nb", "a b"),
        ("a\r\n\tb", "a   b"),
        ("a\u2028b", "a b"),
        # a terminal would clear its screen, write backwards, or fail to write half a character
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\udcffb", "a\\udcffb"),
        ("naïve — 模型", "naïve — 模型"),
    ],
)
def test_a_message_is_one_printable_line_whatever_is_in_it(message: str, shown: str) -> None:
    for error in (QauditError(message), MalformedFile(message, "bad", "mend")):
        text = str(error)
        assert text.startswith(shown)
        assert text.isprintable()
        assert text.encode()


def test_a_message_does_not_grow_with_the_file() -> None:
    text = str(MalformedFile("a.gguf", "k" * 100_000))
    assert len(text) == errors.MAX_MESSAGE + 1
    assert text.startswith("a.gguf: kkk")


def test_what_a_program_needs_is_kept_as_it_was() -> None:
    error = MalformedFile("odd\nname", "cut off")
    assert (error.path, error.problem) == ("odd\nname", "cut off")
    assert MissingExtra("x", "gguf").extra == "gguf"
    assert isinstance(error, errors.InputError)
