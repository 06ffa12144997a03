"""Results as text: lines while the suite runs, a summary, and servers side by side."""

from conformance.registry import Result
from conformance.results import Line, Run

_GROUP, _CHECK, _RESULT = 19, 47, 15
_NOT_RUN = "-"
HEADING = f"{'group':{_GROUP}} {'check':{_CHECK}} {'result':{_RESULT}} {'s':>6}  seen"


def line_of(line: Line) -> str:
    """Return one line of the table."""
    return (
        f"{line.group:{_GROUP}} {line.check:{_CHECK}} {line.result:{_RESULT}} "
        f"{line.seconds:6.1f}  {line.seen}"
    )


def summary(run: Run) -> str:
    """Return the counts of a run in one line."""
    counts = ", ".join(f"{run.count(result)} {result}" for result in Result if run.count(result))
    took = sum(line.seconds for line in run.lines)
    return f"{run.server}: {counts or 'no check was run'}, in {took:.0f} s"


def _rows(runs: list[Run]) -> list[tuple[str, str, list[str]]]:
    """Return group, check and each server's result, in the order of the first that has it."""
    names = dict.fromkeys((line.group, line.check) for run in runs for line in run.lines)
    found = [{(line.group, line.check): line.result.value for line in run.lines} for run in runs]
    return [
        (group, check, [run.get((group, check), _NOT_RUN) for run in found])
        for group, check in names
    ]


def side_by_side(runs: list[Run]) -> str:
    """Return several runs as one table of text, and their summaries."""
    widths = [max(len(run.server), _RESULT) for run in runs]
    heads = [f"{run.server:{width}}" for run, width in zip(runs, widths, strict=True)]
    lines = [" ".join([f"{'group':{_GROUP}}", f"{'check':{_CHECK}}", *heads]).rstrip()]
    for group, check, results in _rows(runs):
        cells = [f"{cell:{width}}" for cell, width in zip(results, widths, strict=True)]
        lines.append(" ".join([f"{group:{_GROUP}}", f"{check:{_CHECK}}", *cells]).rstrip())
    return "\n".join([*lines, "", *(summary(run) for run in runs)])


def markdown(runs: list[Run]) -> str:
    """Return several runs as Markdown: the facts of each, one table, and what was seen."""
    lines = ["As found; a later version may behave differently.", ""]
    lines += ["| server | date | model | suite | openai SDK | results |", "|" + "---|" * 6]
    for run in runs:
        counts = ", ".join(f"{run.count(one)} {one}" for one in Result if run.count(one))
        lines.append(
            f"| {run.server} | {run.date} | {run.model} | {run.suite} | {run.sdk} | {counts} |"
        )
    lines += ["", "| group | check | " + " | ".join(run.server for run in runs) + " |"]
    lines.append("|" + "---|" * (2 + len(runs)))
    for group, check, results in _rows(runs):
        lines.append(f"| {group} | {check} | " + " | ".join(results) + " |")
    for run in runs:
        told = [line for line in run.lines if line.result in (Result.FAILS, Result.REFUSED)]
        lines += ["", f"What was seen of {run.server} where it is not ok:", ""]
        lines += [f"- {one.group}, {one.check}: {_plain(one.seen)}" for one in told]
        lines += [] if told else ["- nothing"]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return a server's words so that Markdown shows them as they are."""
    return "`" + text.replace("`", "'") + "`" if text else "(nothing)"
