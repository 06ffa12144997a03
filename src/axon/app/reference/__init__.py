"""The reference pages of docs/, made from the code: `python -m axon.app.reference`."""

from collections.abc import Callable

from axon.app.reference.dashboards import DASHBOARDS
from axon.app.reference.metrics_page import metrics_page
from axon.app.reference.panels import Dashboard, dashboard_json
from axon.app.reference.records_page import records_page
from axon.app.reference.routes_page import routes_page
from axon.app.reference.settings_page import settings_page

PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "routes.md": routes_page,
    "records.md": records_page,
}
"""What makes each page of docs/, by its file's name."""

__all__ = [
    "DASHBOARDS",
    "PAGES",
    "Dashboard",
    "dashboard_json",
    "metrics_page",
    "records_page",
    "routes_page",
    "settings_page",
]
