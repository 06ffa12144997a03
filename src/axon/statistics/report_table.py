"""Results as rows of text: what the command line shows."""

from axon.statistics.judging import UNITS_MIN
from axon.statistics.results import Results
from axon.statistics.shown import (
    NOTHING,
    PURPOSES,
    detectable_text,
    difference_texts,
    p_text,
    value_text,
    verdict_text,
)


def report_rows(results: Results) -> dict[str, list[str]]:
    """Return the columns of a table by their titles: a row for each metric and variant."""
    columns: dict[str, list[str]] = {
        "Metric": [],
        "Purpose": [],
        "Variant": [],
        "Units": [],
        "Value": [],
        "Change": [],
        "Interval": [],
        "p": [],
        "Detectable": [],
        "Verdict": [],
    }
    for found in results.metrics:
        for row in found.rows:
            compared, currency = row.comparison, results.question.currency
            change, span = NOTHING, NOTHING
            if compared is not None:
                change, span = difference_texts(compared, found.metric, results.question)
            control = row is found.rows[0]
            texts = (
                found.metric.title,
                PURPOSES[found.metric.purpose],
                row.variant,
                f"{row.units:,}",
                value_text(row.value, found.metric, currency),
                change,
                span,
                p_text(compared.adjusted_p) if compared is not None else NOTHING,
                detectable_text(row, found.rows[0]),
                "control" if control else verdict_text(row, UNITS_MIN),
            )
            for column, text in zip(columns.values(), texts, strict=True):
                column.append(text)
    return columns


def split_text(results: Results) -> str:
    """Return one sentence about whether the variants have the units that their weights say."""
    split = results.sample_ratio
    seen = ", ".join(f"{row.variant} {row.seen:,}" for row in split.rows)
    if split.mismatch:
        return (
            f"The split is broken (p {p_text(split.p)}): {seen}. "
            "Trust nothing below before you know why."
        )
    return f"The split is as it should be (p {p_text(split.p)}): {seen}."
