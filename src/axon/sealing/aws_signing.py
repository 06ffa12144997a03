"""AWS Signature Version 4: how a request proves who sends it, without sending the secret."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCredentials:
    """Who asks."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    """Of credentials that are lent for a while; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsRequest:
    """What is signed: everything but who asks, and when."""

    method: str
    target: str
    """Path and query, as they are sent."""
    headers: dict[str, str]
    """All of them are signed; `host` has to be among them."""
    body: bytes
    region: str
    service: str


def signed(request: AwsRequest, credentials: AwsCredentials, at: datetime) -> dict[str, str]:
    """Return the headers to send: the request's, its time, and its signature. `at` is in UTC."""
    instant = f"{at:%Y%m%dT%H%M%SZ}"
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers["x-amz-date"] = instant
    if credentials.session_token:
        headers["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(headers))
    scope = f"{at:%Y%m%d}/{request.region}/{request.service}/aws4_request"
    canonical = _digest(_canonical(request, headers, names).encode())
    to_sign = f"{_ALGORITHM}\n{instant}\n{scope}\n{canonical}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names},"
        f" Signature={_hmac(key, to_sign).hex()}"
    )
    return headers


def _canonical(request: AwsRequest, headers: dict[str, str], names: str) -> str:
    """Return the request in the one form that both sides hash."""
    target = urlsplit(request.target)
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(target.query, keep_blank_values=True)
    )
    told = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
    query = "&".join(f"{name}={value}" for name, value in pairs)
    path = quote(target.path or "/", safe="/-_.~")
    return "\n".join([request.method, path, query, told, names, _digest(request.body)])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")
