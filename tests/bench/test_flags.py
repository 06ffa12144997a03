"""The bench of flags runs from end to end; its figures are not judged here."""

from bench.flags import measure, render


def test_it_measures_every_question() -> None:
    found = measure(rounds=1, asked=20)
    assert [one.what for one in found.costs if one.flagd_us is None] == [
        "region rule and split, v2",
        "the same with holdout and ramp",
        "what a turn pays without flags of turns",
        "the step of a turn, one flag",
        "the step of a turn, 50 flags",
    ]
    assert all(one.ours_us > 0 for one in found.costs)
    assert "50 flags of a turn, with its context" in render(found)
