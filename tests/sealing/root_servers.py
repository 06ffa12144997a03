"""Stand-ins of Vault's transit engine and of AWS KMS: real HTTP, strict, and failing when told."""

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.sealing.aws_signing import AwsCredentials, AwsRequest, signed

Answer = tuple[int, dict[str, Any]]

KMS_KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
"""What the alias stands for."""

CREDENTIALS = AwsCredentials(
    access_key_id="AKIDEXAMPLE", secret_access_key="right", session_token="lent"
)


class Refused(Exception):
    """What the server says instead."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.answer = (status, body)


@dataclass
class RootServer:
    """A server with one key in some versions; `fault` is what is wrong with it."""

    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])
    fault: str = ""
    """frozen, dripping, failing, throttling, garbage, huge; empty for none."""
    requests: int = 0
    calls: list[str] = field(default_factory=list)
    """Those that were answered as they should be."""
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        raise NotImplementedError

    def faulty(self) -> Answer:
        raise NotImplementedError

    def encrypt(self, plaintext: bytes, bound_to: bytes) -> tuple[int, bytes]:
        nonce = os.urandom(12)
        number = len(self.versions)
        return number, nonce + AESGCM(self.versions[-1]).encrypt(nonce, plaintext, bound_to)

    def decrypt(self, number: int, sealed: bytes, bound_to: bytes) -> bytes:
        return AESGCM(self.versions[number - 1]).decrypt(sealed[:12], sealed[12:], bound_to)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on a port of its own, and lend the address."""
        server = _Server(("127.0.0.1", 0), _Handler)
        server.root = self
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    root: RootServer
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def _do(self) -> None:
        root = self.server.root
        root.requests += 1
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if root.fault == "frozen":
            root.released.wait(30)
            return
        if root.fault == "dripping":
            self._drip()
            return
        if root.fault == "garbage":
            self._send(200, b"<html>not what was asked for</html>")
            return
        if root.fault == "huge":
            self._send(200, b" " * (1 << 20))
            return
        try:
            found = root.faulty() if root.fault else None
            status, told = found or root.answer(self.command, self.path, headers, body)
        except Refused as refused:
            status, told = refused.answer
        self._send(status, json.dumps(told).encode())

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        while not self.server.root.released.wait(0.02):
            try:
                self.wfile.write(b" ")
                self.wfile.flush()
            except OSError:
                return

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class FakeVault(RootServer):
    """Transit at `transit/`, with the key `axon`, in the namespace `team`."""

    token: str = "hvs.right"
    min_version: int = 1

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if headers.get("x-vault-token") != self.token or headers.get("x-vault-request") != "true":
            raise Refused(403, {"errors": ["permission denied"]})
        if headers.get("x-vault-namespace") != "team":
            raise Refused(404, {"errors": ["no handler for route"]})
        self.calls.append(f"{method} {path}")
        told = json.loads(body) if body else {}
        match method, path:
            case "POST", "/v1/transit/encrypt/axon":
                plaintext = base64.b64decode(told["plaintext"], validate=True)
                bound = base64.b64decode(told["associated_data"], validate=True)
                number, sealed = self.encrypt(plaintext, bound)
                text = f"vault:v{number}:{base64.b64encode(sealed).decode()}"
                return 200, {"data": {"ciphertext": text, "key_version": number}}
            case "POST", "/v1/transit/decrypt/axon":
                return 200, {"data": {"plaintext": self._decrypted(told)}}
            case "POST", "/v1/transit/keys/axon/rotate":
                self.versions.append(os.urandom(32))
                return 200, {"data": {"latest_version": len(self.versions)}}
            case "GET", "/v1/transit/keys/axon":
                return 200, {"data": {"latest_version": len(self.versions), "name": "axon"}}
            case "POST", other if other.startswith("/v1/transit/decrypt/"):
                raise Refused(400, {"errors": ["encryption key not found"]})
        raise Refused(404, {"errors": []})

    def faulty(self) -> Answer:
        if self.fault == "throttling":
            return 429, {"errors": ["request path rate limit quota exceeded"]}
        return 503, {"errors": ["Vault is sealed"]}

    def _decrypted(self, told: dict[str, str]) -> str:
        kind, version, sealed = (*told["ciphertext"].split(":"), "", "")[:3]
        try:
            number = int(version.removeprefix("v"))
            if kind != "vault" or not self.min_version <= number <= len(self.versions):
                raise Refused(400, {"errors": ["ciphertext or signature version is disallowed"]})
            bound = base64.b64decode(told["associated_data"], validate=True)
            plaintext = self.decrypt(number, base64.b64decode(sealed, validate=True), bound)
        except (ValueError, InvalidTag):
            raise Refused(400, {"errors": ["cipher: message authentication failed"]}) from None
        return base64.b64encode(plaintext).decode()


@dataclass
class FakeKms(RootServer):
    """One key, `alias/axon`, of `eu-central-1`."""

    credentials: AwsCredentials = CREDENTIALS

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self._verify(method, path, headers, body)
        action = headers["x-amz-target"].removeprefix("TrentService.")
        self.calls.append(action)
        told = json.loads(body)
        key = told.get("DestinationKeyId", told.get("KeyId"))
        if action == "RotateKeyOnDemand" and key == KMS_KEY:
            self.versions.append(os.urandom(32))
            return 200, {"KeyId": key}
        if action == "RotateKeyOnDemand" or key != "alias/axon":
            raise _kms_error("NotFoundException", f"Alias {key} is not found.")
        match action:
            case "Encrypt":
                plaintext = base64.b64decode(told["Plaintext"], validate=True)
                return 200, self._encrypted(plaintext, told["EncryptionContext"])
            case "Decrypt":
                plaintext = self._decrypted(told["CiphertextBlob"], told["EncryptionContext"])
                return 200, {"Plaintext": base64.b64encode(plaintext).decode()}
            case "ReEncrypt":
                before = told["SourceEncryptionContext"]
                plaintext = self._decrypted(told["CiphertextBlob"], before)
                return 200, self._encrypted(plaintext, told["DestinationEncryptionContext"])
            case "DescribeKey":
                return 200, {"KeyMetadata": {"KeyId": KMS_KEY, "Enabled": True}}
        raise _kms_error("UnknownOperationException", "")

    def faulty(self) -> Answer:
        if self.fault == "throttling":
            return 400, {"__type": "ThrottlingException", "message": "Rate exceeded"}
        return 500, {"__type": "KMSInternalException", "message": "internal"}

    def _encrypted(self, plaintext: bytes, context: dict[str, str]) -> dict[str, str]:
        number, sealed = self.encrypt(plaintext, _bound(context))
        return {"CiphertextBlob": base64.b64encode(bytes([number]) + sealed).decode()}

    def _decrypted(self, blob: str, context: dict[str, str]) -> bytes:
        sealed = base64.b64decode(blob, validate=True)
        try:
            return self.decrypt(sealed[0], sealed[1:], _bound(context))
        except (InvalidTag, ValueError, IndexError):
            raise _kms_error("InvalidCiphertextException", "") from None

    def _verify(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        """Sign what came as its sender should have: every named header, the time, the body."""
        _, _, rest = headers.get("authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        names = parts.get("SignedHeaders", "").split(";")
        if not {"host", "x-amz-date", "x-amz-target", "content-type"} <= set(names):
            raise _kms_error("IncompleteSignatureException", "headers are not signed")
        at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs((datetime.now(UTC) - at).total_seconds()) > 300:
            raise _kms_error("RequestExpired", "")
        if headers.get("x-amz-security-token", "") != self.credentials.session_token:
            raise _kms_error("UnrecognizedClientException", "The security token is invalid.")
        own = ("x-amz-date", "x-amz-security-token")
        request = AwsRequest(
            method=method,
            target=path,
            headers={name: headers[name] for name in names if name not in own},
            body=body,
            region="eu-central-1",
            service="kms",
        )
        wanted = signed(request, self.credentials, at)["authorization"]
        if wanted != headers["authorization"]:
            raise _kms_error("InvalidSignatureException", "The signature does not match.")


def _bound(context: dict[str, str]) -> bytes:
    if not context or not all(context.values()):
        raise _kms_error("ValidationException", "empty values in the encryption context")
    return json.dumps(context, sort_keys=True).encode()


def _kms_error(kind: str, message: str) -> Refused:
    return Refused(400, {"__type": f"com.amazonaws.kms#{kind}", "message": message})
