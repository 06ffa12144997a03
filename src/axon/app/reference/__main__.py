"""Writes the reference pages into docs/ and the dashboards into deploy/; or all into a folder."""

import sys
from pathlib import Path

from axon.app.reference import DASHBOARDS, PAGES, dashboard_json

given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
folder = given or Path("docs")
folder.mkdir(parents=True, exist_ok=True)
for name, page in PAGES.items():
    (folder / name).write_text(page())
for dashboard in DASHBOARDS:
    grafana = given or Path("deploy/observability/grafana")
    (grafana / f"{dashboard.name}.json").write_bytes(dashboard_json(dashboard))
