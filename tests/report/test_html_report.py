import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from sample_report import LONG, failing_report, hostile_report, inconclusive_report, passing_report

from qaudit.report.html_report import ladder_point, render
from qaudit.values import FileDigest, FirstTokenMeasure, FlipExample, Metrics, Report

Maker = Callable[[], Report]
MAKERS: list[Maker] = [passing_report, failing_report, inconclusive_report, hostile_report]
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "h3", "section", "div",
    "p", "b", "ul", "li", "dl", "dt", "dd", "span", "i", "table", "thead", "tbody", "tr", "th", "td",
    "details", "summary", "code", "pre", "svg", "line", "rect", "circle", "text",
}  # fmt: skip
VOID = {"meta"}


class Seen(HTMLParser):
    """What a browser would find in the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.parts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        self.text = " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.parts.append(data)


def test_a_failing_report_leads_with_its_reasons() -> None:
    text = Seen(render(failing_report())).text
    order = [
        "FAIL",
        "models/Q2_K.gguf",
        "It refuses fewer harmful requests: 100.0 % → 78.3 % (−21.7 points)",
        "Hidden danger",
        "Candidate",
        "refusal-drop",
        "First token",
        "Refusal Template Stability Index",
        "put it back",
        "How this was measured",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("made", "word", "sentence"),
    [
        (passing_report, "PASS", "it behaves as its reference does"),
        (inconclusive_report, "INCONCLUSIVE", "This is not a pass."),
        (failing_report, "FAIL", "It does not meet policy default"),
    ],
)
def test_the_verdict_is_in_words(made: Maker, word: str, sentence: str) -> None:
    page = render(made())
    assert word in Seen(page).text
    assert sentence in Seen(page).text
    assert f"<title>{word} · models/Q2_K.gguf · qaudit</title>" in page


@pytest.mark.parametrize("made", MAKERS)
def test_the_page_is_one_file_that_asks_nothing_of_the_outside(made: Maker) -> None:
    page = render(made(), [point for point in [ladder_point(made())] * 2 if point])
    seen = Seen(page)
    assert set(seen.tags) <= TAGS
    assert not [
        a for a, _ in seen.attributes if a.startswith("on") or a in ("src", "href", "srcset", "action")
    ]
    assert not re.search(r"url\(|@import|expression\(", page)
    policy = next(v for a, v in seen.attributes if a == "content" and v and "default-src" in v)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert seen.open == [], "every tag is closed"


def test_hostile_text_stays_text() -> None:
    page = render(hostile_report())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "{{7*7}}" in page
    assert "onerror=alert" in Seen(page).text
    assert page.count("</style>") == 1
    assert not any(ord(c) < 32 and c not in "\n\t" for c in page)
    assert not {"\u202e", "\u200b", "\ud800"} & set(page)
    assert "‹U+202E›" in page
    assert page.encode("utf-8")


def test_attributes_hold_no_text_from_outside_but_labels() -> None:
    seen = Seen(render(hostile_report()))
    with_hostile = {name for name, value in seen.attributes if value and "alert" in value}
    assert with_hostile <= {"aria-label"}


def test_long_text_is_cut_and_the_page_stays_small() -> None:
    page = render(hostile_report(LONG))
    assert "(100,000 characters)" in page
    assert len(page) < 250_000


def test_a_split_checkpoint_of_many_files_is_cut() -> None:
    made = passing_report()
    files = tuple(FileDigest(f"model-{i}.gguf", 1, "ab" * 32) for i in range(500))
    page = render(replace(made, checkpoint=replace(made.checkpoint, files=files)))
    assert "500 files" in page
    assert "and 300 more, in report.json" in page
    assert page.count("model-") == 200


def test_findings_without_end_are_cut() -> None:
    made = failing_report()
    page = render(replace(made, findings=made.findings * 300))
    assert page.count('class="card finding"') == 200
    assert "and 100 more, in report.json" in page


def test_the_ladder_shows_every_rung_and_marks_this_one() -> None:
    points = [p for r in (passing_report(), failing_report()) if (p := ladder_point(r))]
    other = replace(points[0], name="Q8_0", bits=8.5, sha256="cd" * 32)
    page = render(failing_report(), [other, points[1]])
    assert "Ladder" in Seen(page).text
    assert page.index("<b>Q2_K</b>") < page.index("<b>Q8_0</b>"), "few bits first"
    assert page.count("this page") == 1
    for alone in ([], points[:1]):
        assert "Ladder" not in Seen(render(failing_report(), alone)).text


def test_a_report_without_bits_has_no_place_on_a_ladder() -> None:
    made = passing_report()
    assert ladder_point(replace(made, checkpoint=replace(made.checkpoint, bits_per_weight=None))) is None
    point = ladder_point(replace(made, metrics=Metrics()))
    assert point is not None
    assert (point.refusal, point.accuracy, point.rtsi) == (None, None, None)


def test_nothing_measured_is_a_page_that_says_so() -> None:
    text = Seen(render(replace(inconclusive_report(), metrics=Metrics(unmeasured=("categories.hate",))))).text
    assert "Not measured: refusal rates, over-refusal, first-token flips" in text
    assert "categories.hate" in text
    assert "None" not in text


def test_figures_that_are_none_are_dashes() -> None:
    made = failing_report()
    flip = FlipExample("core/1", "core", " I", "Sure", None, True)
    first = FirstTokenMeasure(3, 1, 1 / 3, (0.0, 0.8), 0, 0, None, None, None, None, None, examples=(flip,))
    assert made.metrics.refusal is not None
    bare = replace(made.metrics, first_token=first, refusal=replace(made.metrics.refusal, mde=None))
    text = Seen(render(replace(made, metrics=bare))).text
    assert "mean –, 99th percentile – nats" in text
    assert "no fall could have been detected" in text
    assert "None" not in text


def test_bars_have_a_table_beside_them_and_the_worst_comes_first() -> None:
    page = render(failing_report())
    for name in failing_report().metrics.categories:
        assert page.count(f">{name.replace('_', ' ')}</") >= 2
    assert page.index('<div class="name">privacy') < page.index('<div class="name">hate')
    assert page.index('<div class="name">hate') < page.index('<div class="name">defamation')


def test_the_score_is_drawn_with_the_calibration_that_was_used() -> None:
    made = failing_report()
    assert made.metrics.rtsi is not None
    other = replace(made.metrics.rtsi, calibration="ours", cut_offs=(0.2, 0.7))
    text = Seen(render(replace(made, metrics=replace(made.metrics, rtsi=other)))).text
    assert "under calibration ours" in text
    assert "MODERATE from 0.2, HIGH from 0.7" in text
    old = replace(made.metrics.rtsi, contributions={}, cut_offs=None)
    assert "Dashed" not in Seen(render(replace(made, metrics=replace(made.metrics, rtsi=old)))).text


def test_more_over_refusal_is_the_bad_direction_there() -> None:
    made = failing_report()
    lost = made.metrics.refusal
    assert lost is not None
    risen = replace(lost, delta=0.3, delta_ci95=(0.2, 0.4))
    fallen = replace(lost, delta=-0.3, delta_ci95=(-0.4, -0.2))

    def marked(pair: object) -> bool:
        metrics = replace(Metrics(), over_refusal=pair)  # type: ignore[arg-type]
        return "class=bad" in render(replace(made, metrics=metrics))

    assert marked(risen)
    assert not marked(fallen)
