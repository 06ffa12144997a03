"""What is found and what is mistaken, over the lines of the corpus; printed with `pytest -rP`."""

from axon.privacy import KINDS, Redactor
from tests.privacy.corpus import read_corpus

LINES_MIN = 300
RECALL_MIN = 0.98
FALSE_MAX = 0.01
"""Of the lines in which nothing is to be hidden."""


def test_recall_and_false_positives_over_the_corpus() -> None:
    lines, redactor = read_corpus(), Redactor()
    wanted = hidden = mistaken = 0
    missed = []
    for line in lines:
        data = line.text.encode()
        found = [data[span.start : span.end].decode() for span in redactor.find(data)]
        wanted += len(line.values)
        hidden += sum(value in found for value in line.values)
        missed += [(line.kind, value) for value in line.values if value not in found]
        mistaken += not line.values and bool(found)
    plain = sum(not line.values for line in lines)
    print(f"{len(lines)} lines, {len({line.kind for line in lines if line.kind})} kinds")
    print(f"recall {hidden}/{wanted}, false positives in {mistaken} of {plain} lines", missed)
    assert len(lines) >= LINES_MIN
    assert hidden / wanted >= RECALL_MIN
    assert mistaken / plain <= FALSE_MAX


def test_every_kind_is_in_the_corpus_and_found_under_its_name() -> None:
    redactor, found = Redactor(), set()
    for line in read_corpus():
        names = {span.name for span in redactor.find(line.text.encode())}
        found |= {line.kind} & names
    assert found == {kind.name for kind in KINDS}
