"""Where an upstream is: its base URL taken apart, and the heads of the requests to it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from axon.inference.errors import UpstreamAddressInvalid

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The forward proxies of the environment, as app read them; empty means none."""

    http: str = ""
    """Base URL of the proxy for http upstreams."""
    https: str = ""
    """Base URL of the proxy through which https upstreams are reached, by CONNECT."""
    none_for: tuple[str, ...] = ()
    """Hosts reached directly; `.example.org` and `example.org` cover subdomains, `*` all."""

    def for_host(self, scheme: str, host: str) -> str:
        """Return the proxy's URL for an upstream, empty when it is reached directly."""
        for name in self.none_for:
            bare = name.lstrip(".").lower()
            if bare == "*" or host == bare or host.endswith(f".{bare}"):
                return ""
        return self.https if scheme == "https" else self.http


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An upstream as the client sees it."""

    host: str
    port: int
    path: str
    """The base URL's path without a slash at its end, for example /v1."""
    tls: ssl.SSLContext | None
    proxy: tuple[str, int] | None
    """Host and port of the proxy, when there is one."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request."""

    @property
    def authority(self) -> str:
        """Return host and port as the host header and CONNECT name them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = _PORTS["https" if self.tls else "http"]
        return host if self.port == usual and not self.proxy else f"{host}:{self.port}"

    @property
    def root(self) -> str:
        """Return the path of the engine's own, un-versioned routes: the base path without /v1."""
        return self.path.removesuffix("/v1")

    def head(self, method: str, path: str) -> bytes:
        """Return a request's head up to and including `content-length: `."""
        place = f"http://{self.authority}{path}" if self.proxy and not self.tls else path
        lines = {"host": self.authority, **self.headers}
        fields = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{method} {place} HTTP/1.1\r\n{fields}content-length: ".encode()


def locate(base_url: str, key: str, ca_path: str, proxies: Proxies) -> Target:
    """Return the target a base URL and its options mean; raise UpstreamAddressInvalid.

    A bare origin means its /v1; any other path is used as it stands. Blocks: it reads the trusted
    authorities from disk. Raises OSError or ssl.SSLError when `ca_path` cannot be read.
    """
    parts, port = _split(base_url)
    if not (key.isascii() and key.isprintable()):
        raise UpstreamAddressInvalid("the key holds characters no header may hold")
    host = parts.hostname or ""
    proxy_url = proxies.for_host(parts.scheme, host)
    proxy: tuple[str, int] | None = None
    if proxy_url:
        proxy_parts, proxy_port = _split(proxy_url)
        proxy = (proxy_parts.hostname or "", proxy_port)
    tls = None
    if parts.scheme == "https":
        tls = ssl.create_default_context(cafile=ca_path or None)
        tls.set_alpn_protocols(["http/1.1"])
    headers = {"content-type": "application/json", "user-agent": "axon"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    path = parts.path.rstrip("/") or "/v1"
    return Target(host=host, port=port, path=path, tls=tls, proxy=proxy, headers=headers)


def _split(url: str) -> tuple[SplitResult, int]:
    parts = urlsplit(url)
    extra = parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme not in _PORTS or not parts.hostname or extra or not url.isprintable():
        raise UpstreamAddressInvalid(parts.hostname or "")
    try:
        return parts, parts.port or _PORTS[parts.scheme]
    except ValueError as error:
        raise UpstreamAddressInvalid(str(error)) from None
