"""What the numbers of an experiment say: intervals, tests and verdicts, made of sums alone."""

from axon.statistics.comparing import (
    Difference,
    Interval,
    anytime_difference_of,
    anytime_relative_of,
    benjamini_hochberg,
    detectable_of,
    difference_of,
    holm,
    relative_of,
)
from axon.statistics.errors import MomentsWrong, QuestionWrong, StatisticsError
from axon.statistics.judging import UNITS_MIN, judge
from axon.statistics.moments import Estimate, Moments, adjusted_of, mean_of, ratio_of
from axon.statistics.report_html import report_html
from axon.statistics.report_table import report_rows, split_text
from axon.statistics.results import (
    Comparison,
    Look,
    Metric,
    MetricResult,
    Question,
    Results,
    VariantResult,
)
from axon.statistics.sample_ratio import SampleRatio, ShareSeen, sample_ratio

__all__ = [
    "UNITS_MIN",
    "Comparison",
    "Difference",
    "Estimate",
    "Interval",
    "Look",
    "Metric",
    "MetricResult",
    "Moments",
    "MomentsWrong",
    "Question",
    "QuestionWrong",
    "Results",
    "SampleRatio",
    "ShareSeen",
    "StatisticsError",
    "VariantResult",
    "adjusted_of",
    "anytime_difference_of",
    "anytime_relative_of",
    "benjamini_hochberg",
    "detectable_of",
    "difference_of",
    "holm",
    "judge",
    "mean_of",
    "ratio_of",
    "relative_of",
    "report_html",
    "report_rows",
    "sample_ratio",
    "split_text",
]
