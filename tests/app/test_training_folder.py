"""An export is in its folder whole and once, wherever its process is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from axon.app.training_folder import (
    MANIFEST,
    ExportDamaged,
    FolderUnusable,
    Page,
    Progress,
    opened,
    verify,
)

PAGES = 60
EXAMPLES = 7
SHARD_BYTES = 4_000
KILLS = 6
ASKED = {"since": "90d"}


def page(number: int) -> Page:
    """Return a page whose last example is also on the page before, with other white space."""
    data = [
        json.dumps({"messages": [{"role": "user", "content": f"{number}-{index} {'x' * 40}"}]})
        for index in range(EXAMPLES)
    ]
    if number:
        again = json.loads(data[0].replace(f"{number}-0 ", f"{number - 1}-0\\n  "))
        data.append(json.dumps(again))
    return Page(
        data=[msgspec.Raw(one.encode()) for one in data],
        turns=10,
        total=PAGES * 10 if not number else None,
        bases={"opted_in": len(data)},
        dropped={"refused": 1},
        hidden={"email": 2},
        redactor="patterns",
        last_id=f"{number}",
        has_more=number < PAGES - 1,
    )


def wanted() -> Progress:
    return Progress(format="sft", asked=dict(ASKED), filters={"since": 5})


def fill(path: Path, pause_s: float = 0.0) -> None:
    """Take all pages that are not there yet, as the command does."""
    with opened(path, wanted(), SHARD_BYTES) as folder:
        while True:
            last = folder.progress.last_id
            one = page(int(last) + 1 if last else 0)
            folder.take(one)
            time.sleep(pause_s)
            if not one.has_more:
                break
        folder.finish(7, {"name": "carl"}, "a test")


def shards(path: Path) -> list[tuple[str, bytes]]:
    return sorted((one.name, one.read_bytes()) for one in path.glob("part-*"))


def test_killed_again_and_again_it_is_what_it_would_have_been(tmp_path: Path) -> None:
    fill(tmp_path / "whole")
    broken, kills, dice = tmp_path / "broken", 0, random.Random(7)
    while not (broken / MANIFEST).exists():
        child = subprocess.Popen([sys.executable, "-m", __name__, str(broken)])
        if kills < KILLS:
            before = _taken(broken)
            while child.poll() is None and _taken(broken) <= before:
                time.sleep(0.001)
            time.sleep(dice.random() * 0.02)
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.wait()
    assert kills == KILLS
    assert shards(broken) == shards(tmp_path / "whole")
    found = verify(broken)
    assert found == verify(tmp_path / "whole")
    lines = [line for _, data in shards(broken) for line in data.splitlines()]
    assert len(lines) == len(set(lines)) == found.examples == PAGES * EXAMPLES
    assert (found.duplicates, found.turns, found.total) == (PAGES - 1, PAGES * 10, PAGES * 10)
    assert len(found.shards) > 5 and found.hidden == {"email": PAGES * 2}
    assert found.made_by == {"name": "carl"} and found.redactors == ["patterns"]


def _taken(path: Path) -> int:
    try:
        unfinished = (path / "unfinished.json").read_bytes()
    except FileNotFoundError:
        return 0
    return msgspec.json.decode(unfinished, type=Progress).turns


def test_what_was_changed_is_found(tmp_path: Path) -> None:
    fill(tmp_path / "whole")
    path = tmp_path / "whole" / "part-00002.jsonl"
    good = path.read_bytes()
    for bad in (good[:-1], good.replace(b"x", b"y", 1), b""):
        path.write_bytes(bad)
        with pytest.raises(ExportDamaged, match="part-00002"):
            verify(tmp_path / "whole")
    path.unlink()
    with pytest.raises(ExportDamaged, match="part-00002"):
        verify(tmp_path / "whole")
    path.write_bytes(good)
    (tmp_path / "whole" / "part-00099.jsonl").write_bytes(good)
    with pytest.raises(ExportDamaged, match="part-00099"):
        verify(tmp_path / "whole")
    with pytest.raises(ExportDamaged, match="cut short"):
        verify(tmp_path)


def test_a_folder_with_something_else_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(FolderUnusable, match="something in"), opened(other, wanted()):
        pass
    begun = tmp_path / "begun"
    with opened(begun, wanted()) as folder:
        folder.take(page(0))
        with pytest.raises(FolderUnusable, match="another export"), opened(begun, wanted()):
            pass
    different = Progress(format="sft", asked={"since": "30d"}, filters={})
    with pytest.raises(FolderUnusable, match="other things"), opened(begun, different):
        pass
    os.truncate(begun / "part-00001.jsonl", 3)
    with pytest.raises(FolderUnusable, match="lacks"), opened(begun, wanted()):
        pass
    fill(tmp_path / "done")
    with pytest.raises(FolderUnusable, match="something in"), opened(tmp_path / "done", wanted()):
        pass


if __name__ == "__main__":
    fill(Path(sys.argv[1]), pause_s=0.002)
