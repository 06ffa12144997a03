"""Upstreams over TLS and through a forward proxy."""

import asyncio
import datetime
import ipaddress
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from axon.inference import FailureKind, JobDone, Proxies
from tests.fake_upstream import FakeUpstream
from tests.inference.scene import WAIT_S, Scene, at


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PEM file with a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "upstream")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=36500))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "upstream.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


async def secure_fake(certificate: Path) -> FakeUpstream:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return await FakeUpstream().start(tls=context)


async def test_a_self_signed_upstream_is_trusted_by_option_only(certificate: Path) -> None:
    async with await secure_fake(certificate) as fake:
        async with Scene(at(fake, ca_path=str(certificate))) as scene:
            assert await scene.upstream_of() == "fake"
            assert await scene.upstream_of("[[pad:100000]]") == "fake"
            assert fake.connections == 1
        async with Scene(at(fake)) as scene:
            failed = await scene.failure("hi")
            assert failed.kind is FailureKind.UNREACHABLE
            assert "certificate" in failed.message
            assert fake.requests == 2


async def test_a_certificate_for_another_name_is_refused(certificate: Path) -> None:
    async with await secure_fake(certificate) as fake:
        other = at(fake, base_url=f"https://localhost:{fake.port}", ca_path=str(certificate))
        async with Scene(other) as scene:
            assert (await scene.failure("hi")).kind is FailureKind.UNREACHABLE
            assert fake.requests == 0


async def test_a_plain_server_does_not_pass_for_a_secure_one(certificate: Path) -> None:
    async with FakeUpstream() as fake:
        up = at(fake, base_url=f"https://127.0.0.1:{fake.port}", ca_path=str(certificate))
        async with Scene(up) as scene:
            assert (await scene.failure("hi")).kind is FailureKind.UNREACHABLE


class Proxy:
    """Relays every connection to `port` after noting its first request."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 Connected\r\n\r\n") -> None:
        self.target_port = port
        self.answer = answer
        self.first_lines: list[bytes] = []
        self._relays = 0
        self._none_left = asyncio.Event()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        async with asyncio.timeout(WAIT_S):
            while self._relays:
                self._none_left.clear()
                await self._none_left.wait()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._relays += 1
        try:
            await self._relay_both_ways(reader, writer)
        finally:
            self._relays -= 1
            self._none_left.set()

    async def _relay_both_ways(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.first_lines.append(head.partition(b"\r\n")[0])
        there, to_there = await asyncio.open_connection("127.0.0.1", self.target_port)
        if head.startswith(b"CONNECT"):
            writer.write(self.answer)
        else:
            to_there.write(head)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pipe(reader, to_there))
                group.create_task(_pipe(there, writer))
        finally:
            writer.close()
            to_there.close()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


async def test_a_plain_upstream_is_reached_through_a_proxy() -> None:
    async with FakeUpstream() as fake, Proxy(fake.port) as proxy:
        up = at(fake, base_url="http://model.test/v1")
        async with Scene(up, proxies=Proxies(http=proxy.url)) as scene:
            outputs = await scene.outputs("hi")
            assert isinstance(outputs[-1], JobDone)
            assert proxy.first_lines == [b"POST http://model.test:80/v1/chat/completions HTTP/1.1"]


async def test_a_secure_upstream_is_reached_through_a_tunnel(certificate: Path) -> None:
    async with await secure_fake(certificate) as fake, Proxy(fake.port) as proxy:
        up = at(fake, ca_path=str(certificate))
        async with Scene(up, proxies=Proxies(https=proxy.url)) as scene:
            assert [await scene.upstream_of() for _ in range(2)] == ["fake", "fake"]
            assert proxy.first_lines == [f"CONNECT 127.0.0.1:{fake.port} HTTP/1.1".encode()]
            assert fake.connections == 1


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 407 Who are you\r\n\r\n", b"x" * 9000, b"what?\r\n\r\n"],
    ids=["407", "endless", "nonsense"],
)
async def test_a_proxy_that_refuses_is_a_failed_connection(
    certificate: Path, answer: bytes
) -> None:
    async with FakeUpstream("good") as good, Proxy(good.port, answer) as proxy:
        up = replace(at(good), name="far", base_url="https://127.0.0.2", ca_path=str(certificate))
        async with Scene(up, at(good, order=1), proxies=Proxies(https=proxy.url)) as scene:
            assert await scene.upstream_of() == "good"
            assert len(proxy.first_lines) == 1
