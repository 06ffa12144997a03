"""Fetches the jars of Apache Kafka into a folder, each checked by its hash; then never again.

`python -m tests.kafka.fetch FOLDER REPOSITORY` is called by `make kafka`, with the address of a
repository in Maven's layout. `jars.txt` names what the artifact
kafka_2.13 wants to run, with log4j for its log.
"""

import hashlib
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 6
TIMEOUT_S = 120.0


def listed() -> list[tuple[str, str]]:
    """Return the hash and the path of each jar."""
    lines = Path(__file__).with_name("jars.txt").read_text().splitlines()
    return [(line.split()[0], line.split()[1]) for line in lines if line.strip()]


def fetch(folder: Path, repository: str) -> int:
    """Bring every jar that is missing; return how many came. Raises OSError and ValueError."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(digest, path) for digest, path in listed() if not (folder / name(path)).exists()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda one: _bring(folder, repository, *one), missing))
    return len(missing)


def name(path: str) -> str:
    return path.rpartition("/")[2]


def _bring(folder: Path, repository: str, digest: str, path: str) -> None:
    with urllib.request.urlopen(f"{repository}/{path}", timeout=TIMEOUT_S) as answer:
        content: bytes = answer.read()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path} is not what was expected")
    unfinished = folder / f"{name(path)}.new"
    unfinished.write_bytes(content)
    unfinished.rename(folder / name(path))


if __name__ == "__main__":
    target = Path(sys.argv[1]).expanduser()
    print(f"{fetch(target, sys.argv[2])} jars fetched into {target}")
