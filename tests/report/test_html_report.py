from html.parser import HTMLParser

import pytest
from qaudit.report.html_report import ladder_point, render
from sample_report import failing_report, hostile_report, inconclusive_report, passing_report


class Seen(HTMLParser):
    """What a browser would find in the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_failing_report_leads_with_its_reasons() -> None:
    page = render(failing_report())
    text = " ".join(Seen(page).text)
    assert text.index("FAIL") < text.index("category-drop[privacy]") < text.index("Candidate")
    for words in ("hidden danger", "privacy", "safety flip", "RTSI", "Another template", "perplexity"):
        assert words in text


@pytest.mark.parametrize(("made", "word"), [(passing_report, "PASS"), (inconclusive_report, "INCONCLUSIVE")])
def test_the_verdict_is_in_words(made: object, word: str) -> None:
    report = made()  # type: ignore[operator]
    text = Seen(render(report)).text
    assert word in " ".join(text)


@pytest.mark.parametrize("made", [passing_report, failing_report, hostile_report])
def test_the_page_is_one_file_that_asks_nothing_of_the_outside(made: object) -> None:
    seen = Seen(render(made()))  # type: ignore[operator]
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(seen.tags)
    assert not [a for a, _ in seen.attributes if a.startswith("on") or a in ("src", "href", "srcset")]
    assert any(a == "content" and v and "default-src 'none'" in v for a, v in seen.attributes)


def test_hostile_text_stays_text() -> None:
    page = render(hostile_report())
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "{{7*7}}" in page
    assert "49" not in Seen(page).text


def test_the_ladder_shows_every_rung() -> None:
    points = [p for r in (passing_report(), failing_report()) if (p := ladder_point(r))]
    text = " ".join(Seen(render(failing_report(), points)).text)
    assert "Ladder" in text
    assert "Ladder" not in " ".join(Seen(render(failing_report())).text)


def test_bars_have_a_table_beside_them() -> None:
    page = render(failing_report())
    assert page.count("<svg") == 2
    assert page.count('role="img"') == 2
    for name in failing_report().metrics.categories:
        assert name.replace("_", " ") in page
