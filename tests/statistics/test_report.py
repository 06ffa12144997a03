"""Results as a page and as a table."""

from html.parser import HTMLParser

import msgspec
import pytest

from axon.statistics import Results, judge, report_html, report_rows, split_text
from tests.statistics.example import CONTROL, QUESTION, SHORT, SMALL, judged


@pytest.fixture(scope="module")
def results() -> Results:
    return judged(days=6)


class _Page(HTMLParser):
    """What stands in a page: tags, addresses that it would fetch, text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "line", "rect", "circle", "polygon", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_says_everything_and_needs_nothing_else(results: Results) -> None:
    page = report_html(results)
    found = _Page(page)
    text = " ".join(" ".join(found.text).split())
    assert found.open == [] and found.fetched == []
    assert "script" not in found.tags and "url(" not in page and "@import" not in page
    assert found.tags.count("svg") == 10 + 2  # a bar for each comparison, two courses
    for word in ("shorter-answers", "Cost by user", "small model", "What must not get worse"):
        assert word in text
    assert "prefers-color-scheme: dark" in page and "@media print" in page
    assert "nan" not in page and "inf" not in page.replace("infinite", "")


def test_names_are_text_in_the_page() -> None:
    evil = '<script>alert("x")</script>'
    question = msgspec.structs.replace(
        QUESTION,
        experiment=evil,
        hypothesis=evil,
        decision=evil,
        control=evil,
        shares={evil: 1, f"{evil}2": 1},
        stopped_us=QUESTION.started_us + 1,
        metrics=tuple(msgspec.structs.replace(one, title=evil) for one in QUESTION.metrics),
    )
    page = report_html(judge(question, {evil: 5}, {}, 1, None))
    assert "<script" not in page and page.count("&lt;script&gt;") > 10
    assert _Page(page).open == []


def test_a_broken_split_is_the_first_that_is_said(results: Results) -> None:
    broken = judge(QUESTION, {CONTROL: 4_072, SHORT: 1_000, SMALL: 1_035}, {}, 1, None)
    assert "The split is broken (p < 0.0001)" in split_text(broken)
    assert 'class="split broken"' in report_html(broken)
    assert "The split is as it should be" in split_text(results)
    assert 'class="split kept"' in report_html(results)


def test_the_table_has_a_row_for_each_metric_and_variant(results: Results) -> None:
    columns = report_rows(results)
    assert {len(column) for column in columns.values()} == {15}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    (cost,) = (one for one in rows if one["Metric"] == "Cost by user" and one["Variant"] == SMALL)
    assert cost["Units"] == "600" and cost["Value"].endswith(" USD")
    assert cost["Change"].startswith("-") and " to -" in cost["Interval"]
    assert cost["p"] == "< 0.0001" and cost["Verdict"] == "better"
    assert rows[0]["Verdict"] == "control" and rows[0]["Interval"] == "-"


def test_few_units_are_told_as_few() -> None:
    columns = report_rows(judged(days=1, units_a_day=100))
    assert set(columns["Verdict"]) == {"control", "needs 100 units a side"}
    assert set(columns["Change"]) == {"-"}
