"""Writes the reference pages into docs/, or into the folder given."""

import sys
from pathlib import Path

from axon.app.reference import PAGES

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
folder.mkdir(parents=True, exist_ok=True)
for name, page in PAGES.items():
    (folder / name).write_text(page())
