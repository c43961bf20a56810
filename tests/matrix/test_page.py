import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sample_report import HOSTILE, failing_report, hostile_report, inconclusive_report, passing_report

from qaudit.matrix import page
from qaudit.matrix.manifest import Expected, Row
from qaudit.matrix.table import RowResult
from qaudit.matrix.tasks import Outcome, unfinished
from qaudit.values import Report

VOID = {"meta", "br", "img", "line", "rect", "circle", "polygon"}


class Page(HTMLParser):
    """Reads the page as a browser would: elements, text and whether everything is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def result(name: str, report: Report | None, error: str | None = None, **row: Any) -> RowResult:
    outcome = unfinished(name, error, 1) if error else Outcome(name, 0)
    return RowResult(Row(name, f"{name}.gguf", "F16.gguf", **row), outcome, report, error)


def rendered(*results: RowResult) -> tuple[str, Page]:
    text = page.render(results)
    parsed = Page(text)
    assert parsed.open == []
    return text, parsed


def with_bits(report: Report, bits: float | None, kind: str = "gguf", quantization: str = "Q4_K_M") -> Report:
    changed = replace(report.checkpoint, bits_per_weight=bits, format=kind, quantization=quantization)
    return replace(report, checkpoint=changed)


def test_rows_plots_and_links() -> None:
    text, parsed = rendered(
        result(
            "good", with_bits(passing_report(), 4.9), series="gguf", label="clean", expected=Expected("pass")
        ),
        result(
            "bad", with_bits(failing_report(), 2.6), series="gguf", label="clean", expected=Expected("pass")
        ),
        result("awq", with_bits(failing_report(), 4.2, "safetensors", "AWQ 4-bit g128")),
        result("few", inconclusive_report()),
        result("gone", None, "gone.gguf: no such file; check the path"),
    )
    assert {a["href"] for a in parsed.all("a")} == {
        f"rows/{n}/report.html" for n in ("good", "bad", "awq", "few")
    }
    said = " ".join(" ".join(parsed.texts).split())
    assert "gone.gguf: no such file; check the path" in said
    for title in ("Harmful requests refused", "Accuracy", "Wording of refusals (RTSI)", "Regimes"):
        assert title in said
    assert "1 / 2 as labelled" in said
    # two formats, two shapes
    assert "awq" in said
    assert 'class="shape fail" points' in text
    assert 'class="shape fail" r=' in text
    rows = re.findall(r"<tr><td class=\"number\".*?</tr>", text, re.S)
    assert len(rows) == 5
    widths = {len(re.findall(r"<t[dh][ >]", row)) for row in rows}
    assert widths == {18}


def test_each_reference_has_its_own_ladder() -> None:
    other = with_bits(passing_report(), 4.0)
    other = replace(other, reference=replace(other.reference, sha256="cd" * 32))
    text, _ = rendered(result("a", with_bits(passing_report(), 4.9)), result("b", other))
    assert text.count("Against bits per weight") == 2


def test_only_its_own_script_may_run_and_nothing_is_fetched() -> None:
    text, parsed = rendered(result("a", passing_report()))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(
        m["content"] for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not [
        v
        for _, attributes in parsed.elements
        for k, v in attributes.items()
        if k == "src" or k.startswith("on")
    ]
    assert "http:" not in text.replace("http-equiv", "")
    assert "https:" not in text


@pytest.mark.parametrize("text", [HOSTILE, "<b>", "{{7*7}}", "</script>"])
def test_hostile_text_is_only_text(text: str) -> None:
    results = [
        result("a", hostile_report(text), label=text),
        result("b", None, text),
        RowResult(Row("c", text, text, label=text, series=text), Outcome("c", 1), hostile_report(text), None),
    ]
    shown, parsed = rendered(*results)
    assert len(parsed.all("script")) == 1
    assert not parsed.all("img")
    assert not parsed.all("b") or all("alert" not in str(a) for a in parsed.all("b"))
    assert "49" not in re.findall(r"<title>(.*?)</title>", shown)[0]
    shown.encode()


def test_a_served_model_has_neither_bits_nor_a_type() -> None:
    served = with_bits(failing_report(), None, "endpoint", "")
    text, parsed = rendered(result("a", served))
    assert "endpoint" in " ".join(parsed.texts)
    assert "Against bits per weight" not in text
    assert "Regimes" in text


def test_nothing_measured_is_a_page_too() -> None:
    report = passing_report()
    bare = replace(report, metrics=replace(report.metrics, refusal=None, rtsi=None, quality=None, categories={},
                                           first_token=None, over_refusal=None))  # fmt: skip
    _, parsed = rendered(result("a", with_bits(bare, None)), result("b", None, "gone"))
    assert not parsed.all("polygon")
    rendered(result("b", None, "gone"))


def test_the_page_of_a_real_matrix_leads_to_pages_that_exist(small_matrix: Any) -> None:
    finished = small_matrix.finished
    _, parsed = rendered(*finished.results)
    links = [str(a["href"]) for a in parsed.all("a")]
    assert len(links) == 2
    assert all((Path(finished.page).parent / link).is_file() for link in links)
    assert finished.page.read_text() == page.render(finished.results)
