"""The bill of materials names what the locks install, each file by its hash, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from axon.app.reference.sbom import LOCKS, LockUnreadable, read_lock, sbom

ROOT = Path(__file__).resolve().parent.parent.parent
PURL = re.compile(r"pkg:pypi/[a-z0-9-]+@[^\s/]+")
SERIAL = re.compile(
    r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sbom(ROOT))
    return found


def test_it_is_what_cyclonedx_wants(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert SERIAL.fullmatch(bill["serialNumber"])
    references = [one["bom-ref"] for one in bill["components"]]
    assert len(set(references)) == len(references)
    assert bill["metadata"]["component"]["bom-ref"] not in references
    for one in bill["components"]:
        assert one["type"] == "library" and one["scope"] in ("required", "optional")
        assert PURL.fullmatch(one["purl"]) and one["purl"] == one["bom-ref"]
        for hashed in one["hashes"]:
            assert hashed["alg"] == "SHA-256" and re.fullmatch(r"[0-9a-f]{64}", hashed["content"])
        contents = [hashed["content"] for hashed in one["hashes"]]
        assert contents and len(set(contents)) == len(contents)
    refs = [one["ref"] for one in bill["dependencies"]]
    assert refs == [bill["metadata"]["component"]["bom-ref"], *sorted(references)]
    assert sorted(bill["dependencies"][0]["dependsOn"]) == sorted(references)


def test_every_line_of_the_locks_is_in_it_and_nothing_else(bill: dict[str, Any]) -> None:
    pinned, hashes = set(), set()
    for lock in LOCKS:
        text = (ROOT / lock).read_text()
        pinned |= set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*?\])?==(\S+)", text, re.MULTILINE))
        hashes |= set(re.findall(r"sha256:(\w+)", text))
    assert {(one["name"], one["version"]) for one in bill["components"]} == pinned
    found = {hashed["content"] for one in bill["components"] for hashed in one["hashes"]}
    assert found == hashes


def test_the_same_locks_make_the_same_bytes() -> None:
    assert sbom(ROOT) == sbom(ROOT)


@pytest.mark.parametrize("line", ["uvloop>=1", "uvloop==1.0", "-e .", "https://example.com/x.whl"])
def test_what_is_no_pinned_and_hashed_package_is_refused(line: str) -> None:
    with pytest.raises(LockUnreadable):
        read_lock(f"{line}\n", "run.txt")


def test_markers_and_extras_are_understood() -> None:
    text = f"uvicorn[standard]==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:{'0' * 64}\n"
    (found,) = read_lock(text, "run.txt")
    assert (found.url, found.only_where) == ("pkg:pypi/uvicorn@1.0", "sys_platform == 'linux'")
