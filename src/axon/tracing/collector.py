"""One POST to an OpenTelemetry collector, and nothing kept open in between; blocks."""

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

from axon.tracing.errors import CollectorAway, CollectorRefused

_TRACES = "/v1/traces"
_PORTS = {"http": 80, "https": 443}
_OK = range(200, 300)
_BUSY = (429, 502, 503, 504)
"""What OTLP says may be tried again."""


class Collector:
    """Where spans are sent."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], timeout_s: float) -> None:
        """`endpoint` is the collector's address, to which /v1/traces is added unless it says so."""
        parts = urlsplit(endpoint)
        path = parts.path.rstrip("/")
        self._path = path if path.endswith(_TRACES) else path + _TRACES
        self._host, self._secure = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or _PORTS[parts.scheme]
        self._headers = {"content-type": "application/json", "user-agent": "axon", **headers}
        self._timeout_s = timeout_s

    def post(self, body: bytes) -> None:
        """Return once it has the spans; raises CollectorAway, and CollectorRefused for a body that
        it will never take. Each read and write may take as long as the timeout."""
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request("POST", self._path, body, self._headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise CollectorAway(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if status in _BUSY:
            raise CollectorAway(f"it answered {status}")
        if status not in _OK:
            raise CollectorRefused(f"it answered {status}")
