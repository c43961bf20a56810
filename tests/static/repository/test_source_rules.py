import pytest

from qaudit.static.repository.code_book import CodeFile
from qaudit.static.repository.code_files import BOOK
from qaudit.static.repository.python_walk import walk_python


def found(source: str) -> dict[str, str]:
    code = CodeFile("x.py", "python", walk_python("x.py", source.encode()), text=source)
    return {finding.id.partition("/")[2]: finding.severity for finding in BOOK.findings(code)}


def test_a_place_of_secrets_is_graver_than_the_name_of_one() -> None:
    assert found("p = '~/.aws/credentials'")["secrets"] == "high"
    assert found("import os\nk = os.environ.get('HF_TOKEN')")["secrets"] == "medium"
    assert found("import os\nsend(os.environ)")["secrets"] == "medium"
    assert "secrets" not in found("import os\nk = os.environ.get('HF_HOME')")


def test_a_long_text_counts_where_something_is_decoded() -> None:
    literal = f"x = '{'QUJD' * 200}'\n"
    assert "encoded-literal" not in found(literal)
    assert "encoded-literal" in found(f"import base64\n{literal}y = base64.b64decode(x)")


def test_what_python_cannot_read_is_graver_where_it_calls_something() -> None:
    assert found("print 'hello'")["unreadable-source"] == "medium"
    assert found("import os\nprint os.system('x')")["unreadable-source"] == "high"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_an_ordinary_encoding_is_no_disguise(encoding: str) -> None:
    assert "disguised-source" not in found(f"# -*- coding: {encoding} -*-\nx = 1")


def test_an_encoding_that_decodes_to_other_code_is_told() -> None:
    assert found("# -*- coding: utf-7 -*-\nx = 1")["disguised-source"] == "high"


def test_a_native_file_is_told_by_its_content_or_its_name() -> None:
    (by_content,) = BOOK.findings(CodeFile("x", "native", content="an ELF program"))
    (by_name,) = BOOK.findings(CodeFile("x.dll", "native"))
    assert by_content.evidence == "is an ELF program"
    assert by_name.evidence == "is native code by its name"
