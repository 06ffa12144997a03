"""The checksum of every migration that was ever written; run this file to record new ones."""

import hashlib
from pathlib import Path

from axon.app.migrations import rooms_with_migrations

RECORDED = Path(__file__).parent / "migrations.sha256"


def checksums() -> dict[str, str]:
    """Return the checksum of every migration there is, by room/file."""
    return {
        f"{room}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for room, folder in rooms_with_migrations().items()
        for path in sorted(folder.glob("*.sql"))
    }


def record_new() -> None:
    """Add the migrations that are not recorded yet; what is recorded stays as it is."""
    lines = RECORDED.read_text().splitlines() if RECORDED.exists() else []
    known = {line.split()[0] for line in lines}
    lines += [f"{name} {sha}" for name, sha in checksums().items() if name not in known]
    RECORDED.write_text("\n".join(sorted(lines)) + "\n")


if __name__ == "__main__":
    record_new()
