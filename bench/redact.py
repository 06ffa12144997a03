"""What redaction costs and finds, beside Presidio, over the same lines in one run.

`make bench-redact` installs Presidio into an environment of its own (bench/redact.in): its pattern
recognizers as it sets them up for English; those for names need a language model, which comes from
no package index. A find counts when it covers the marked value, whatever either calls it.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from axon.privacy import Redactor
from tests.privacy.corpus import Line, read_corpus

Find = Callable[[str], list[tuple[int, int]]]
"""Takes a text; returns where something is hidden, in characters."""


def axon_finds(text: str) -> list[tuple[int, int]]:
    """Return what Axon hides."""
    data = text.encode()
    return [
        (len(data[: one.start].decode()), len(data[: one.end].decode()))
        for one in _REDACTOR.find(data)
    ]


_REDACTOR = Redactor()


def presidio_finder() -> Find | None:
    """Return Presidio's pattern recognizers as one finder; None where it is not installed."""
    try:
        import tldextract  # noqa: PLC0415
        from presidio_analyzer import PatternRecognizer, RecognizerRegistry  # noqa: PLC0415
        from presidio_analyzer.predefined_recognizers import PhoneRecognizer  # noqa: PLC0415
    except ImportError:
        return None
    # It would fetch a list from the net for each address otherwise.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    known = [one for one in registry.recognizers if isinstance(one, PatternRecognizer)]
    known += [one for one in registry.recognizers if isinstance(one, PhoneRecognizer)]
    print(f"Presidio: {len(known)} recognizers")

    def find(text: str) -> list[tuple[int, int]]:
        return [
            (one.start, one.end)
            for each in known
            for one in each.analyze(text, each.supported_entities, None) or ()
            if one.score >= SCORE_MIN
        ]

    return find


SCORE_MIN = 0.4
"""Below it Presidio itself calls a match weak: any nine digits."""


def judged(find: Find, lines: list[Line]) -> tuple[int, int, int, int]:
    """Return values found, values there, plain lines with a false find, and plain lines."""
    found = wanted = false = plain = 0
    for line in lines:
        spans = find(line.text)
        plain += not line.values
        false += bool(spans) and not line.values
        for value in line.values:
            start = line.text.index(value)
            wanted += 1
            found += any(a <= start and start + len(value) <= b for a, b in spans)
    return found, wanted, false, plain


def us_per_kib(find: Find, lines: list[Line], rounds: int) -> float:
    """Return the median over the rounds, in microseconds a KiB."""
    size = sum(len(line.text.encode()) for line in lines) / 1024
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        for line in lines:
            find(line.text)
        spent.append((time.perf_counter() - began) * 1e6 / size)
    return statistics.median(spent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    lines = read_corpus()
    prose = [Line("", "The weather was fine, and nobody had anything to hide. " * 80, ())]
    finders: dict[str, Find] = {"axon": axon_finds}
    presidio = presidio_finder()
    if presidio is not None:
        finders["presidio"] = presidio
    costs = {}
    for name, find in finders.items():
        found, wanted, false, plain = judged(find, lines)
        dense, sparse = us_per_kib(find, lines, rounds), us_per_kib(find, prose, rounds)
        costs[name] = (dense, sparse)
        print(
            f"{name:9} found {found}/{wanted}, false in {false} of {plain} plain lines, "
            f"{dense:,.0f} us/KiB of the corpus, {sparse:,.1f} us/KiB of prose"
        )
    if presidio is not None:
        ratios = [theirs / ours for ours, theirs in zip(*costs.values(), strict=True)]
        print(f"presidio costs {ratios[0]:.0f} times as much, {ratios[1]:.0f} times on prose")


if __name__ == "__main__":
    main()
