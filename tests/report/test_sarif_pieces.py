import pytest
from sample_report import HOSTILE, LONG

from qaudit.report import sarif_pieces as pieces
from qaudit.values import SEVERITIES, FileDigest, Finding, ToolRef


def test_a_message_holds_no_link_and_no_placeholder() -> None:
    assert pieces.message("[x](http://e) {0} \\") == {"text": "\\[x\\](http://e) {{0}} \\\\"}
    assert "\x1b" not in pieces.message(HOSTILE)["text"]
    assert len(pieces.message(LONG)["text"]) < 5000


@pytest.mark.parametrize(
    ("path", "uri"), [("a b#c?/ü", "a%20b%23c%3F/%C3%BC"), ("\udce9", "%3F"), ("sub/a.gguf", "sub/a.gguf")]
)
def test_a_path_is_a_relative_uri(path: str, uri: str) -> None:
    assert pieces.uri(path) == uri


def test_severities_sort_as_levels_and_numbers() -> None:
    def number(severity: object) -> float:
        rule = pieces.finding_rule("r", Finding("f", severity, "T", "L", "E", "R"))  # type: ignore[arg-type]
        return float(rule["properties"]["security-severity"])

    numbers = [number(severity) for severity in SEVERITIES]
    assert numbers == sorted(set(numbers))
    assert list(pieces.LEVELS) == list(SEVERITIES)


def test_a_run_names_the_tool_and_its_files() -> None:
    artifact = pieces.artifact("a.gguf", FileDigest("x", 3, "ab" * 32))
    run = pieces.run(ToolRef("", "1"), [], [], [artifact], "2026-01-01T00:00:00Z", {"k": "v"})
    assert run["tool"]["driver"]["name"] == "qaudit"
    assert run["artifacts"][0]["hashes"] == {"sha-256": "ab" * 32}
    assert pieces.document(run).endswith("}\n")
