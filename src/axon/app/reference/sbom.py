"""The bill of materials: what an installation is made of, as CycloneDX 1.6, from the locks.

`python -m axon.app.reference.sbom` writes it to stdout. The same locks make the same bytes.
"""

import hashlib
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

LOCKS: Mapping[str, str] = {
    "requirements/run.txt": "required",
    "requirements/model.txt": "optional",
    "requirements/client.txt": "optional",
}
"""What `make up` installs, and whether Axon runs without it. What only the tests and the bench use
is no part of an installation."""

_PACKAGE = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(?:\s*;\s*([^\\]+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")

Json = dict[str, object]


class LockUnreadable(ValueError):
    """A line of a lock is neither a package of one version nor a hash."""


class Locked(NamedTuple):
    """A package as a lock has it."""

    name: str
    version: str
    only_where: str
    """The environment marker; empty for everywhere."""
    hashes: tuple[str, ...]
    """SHA-256 of each of its files that may be installed."""
    lock: str

    @property
    def url(self) -> str:
        """Return the package URL, by which scanners know it."""
        return f"pkg:pypi/{re.sub(r'[-_.]+', '-', self.name).lower()}@{self.version}"


def read_lock(text: str, lock: str) -> list[Locked]:
    """Return the packages of a lock; raises LockUnreadable."""
    found: list[Locked] = []
    for entry in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        match = _PACKAGE.match(entry)
        hashes = tuple(_HASH.findall(entry))
        if match is None or not hashes:
            raise LockUnreadable(f"{lock}: {entry[:80]!r}")
        marker = (match[3] or "").partition(" --hash")[0].strip()
        found.append(Locked(match[1], match[2], marker, hashes, lock))
    return found


def sbom(root: Path) -> bytes:
    """Return the bill of materials of the repository at `root`; raises LockUnreadable, OSError."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    packages: dict[str, Locked] = {}
    for lock in LOCKS:
        for one in read_lock((root / lock).read_text(), lock):
            packages.setdefault(one.url, one)
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    components = [_component(packages[url]) for url in sorted(packages)]
    document: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": _serial(own, components),
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "pre-build"}],
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "description": project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
                "purl": own,
            },
        },
        "components": components,
        "dependencies": [
            {"ref": own, "dependsOn": sorted(packages)},
            *({"ref": url} for url in sorted(packages)),
        ],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _component(one: Locked) -> Json:
    shown: Json = {
        "type": "library",
        "bom-ref": one.url,
        "name": one.name,
        "version": one.version,
        "scope": LOCKS[one.lock],
        "hashes": [{"alg": "SHA-256", "content": text} for text in one.hashes],
        "purl": one.url,
        "properties": [{"name": "axon:lock", "value": one.lock}],
    }
    if one.only_where:
        shown["properties"] = [
            {"name": "axon:lock", "value": one.lock},
            {"name": "axon:only_where", "value": one.only_where},
        ]
    return shown


def _serial(own: str, components: list[Json]) -> str:
    """Return a number that is the same for the same content."""
    digest = hashlib.sha256(json.dumps([own, components]).encode()).digest()
    return f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}"


if __name__ == "__main__":
    sys.stdout.buffer.write(sbom(Path.cwd()))
