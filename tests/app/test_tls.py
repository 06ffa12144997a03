"""TLS at Axon's own door: its versions, its certificates, and clients that never shake hands."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from axon.app.roles import one_by_one
from axon.app.roles.one_by_one import OneByOne
from axon.app.roles.tls import Certificate, CertificateUnusable, certificate_of
from axon.app.settings import HttpSettings, SettingsWrong, load_settings
from axon.app.sockets import listening_socket
from tests.stores.tls_proxy import make_certificate


class Greets(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listening_socket(HttpSettings(port=0)) as opened:
        yield opened


def folder(tmp_path: Path, name: str) -> Path:
    made = tmp_path / name
    made.mkdir()
    return made


@asynccontextmanager
async def served(listener: socket.socket, certificate: Certificate) -> AsyncIterator[OneByOne]:
    server = OneByOne(listener, Greets, certificate.context)
    yield server
    server.close()


async def greeted(
    listener: socket.socket, trusted: Path, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[bytes, str | None]:
    """Return what a client hears that trusts one certificate, and the version spoken."""
    context = ssl.create_default_context(cafile=trusted)
    context.maximum_version = newest
    host, port = listener.getsockname()
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    heard = await reader.readexactly(5)
    version: str | None = writer.get_extra_info("ssl_object").version()
    writer.transport.abort()
    return heard, version


async def test_tls_13_is_spoken_and_12_is_refused(listener: socket.socket, tmp_path: Path) -> None:
    files = make_certificate(tmp_path)
    async with served(listener, Certificate(*files)):
        assert await greeted(listener, files[0]) == (b"hello", "TLSv1.3")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await greeted(listener, files[0], ssl.TLSVersion.TLSv1_2)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"hello" not in await reader.read(1000), "nothing is told in the clear"
        writer.close()


async def test_a_renewed_certificate_is_used_from_the_next_handshake_on(
    listener: socket.socket, tmp_path: Path
) -> None:
    old = make_certificate(folder(tmp_path, "old"))
    new = make_certificate(folder(tmp_path, "new"))
    live = tmp_path / "live.pem", tmp_path / "live.key"

    def install(certificate: Path, key: Path) -> None:
        for source, target in zip((certificate, key), live, strict=True):
            fresh = target.with_suffix(".new")
            fresh.write_bytes(source.read_bytes())
            fresh.rename(target)

    install(*old)
    certificate = Certificate(*live)
    async with served(listener, certificate):
        assert not certificate.read_again()
        install(new[0], old[1])  # a renewal that is half done
        assert not certificate.read_again()
        assert (await greeted(listener, old[0]))[0] == b"hello"
        install(*new)
        assert certificate.read_again()
        assert (await greeted(listener, new[0]))[0] == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            await greeted(listener, old[0])
        live[0].unlink()
        assert not certificate.read_again()
        assert (await greeted(listener, new[0]))[0] == b"hello"


async def test_clients_that_never_shake_hands_keep_nobody_out(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_by_one, "HANDSHAKES_MAX", 2)
    files = make_certificate(tmp_path)
    async with served(listener, Certificate(*files)) as server:
        silent = [await asyncio.open_connection(*listener.getsockname()) for _ in range(3)]
        assert await asyncio.wait_for(silent[0][0].read(), 30) == b"", "the oldest has made room"
        assert await greeted(listener, files[0]) == (b"hello", "TLSv1.3")
        assert len(server._handshakes) <= 2
        for _, writer in silent:
            writer.close()


def test_files_that_are_no_certificate_end_the_start_with_a_clear_error(tmp_path: Path) -> None:
    certificate, key = make_certificate(folder(tmp_path, "one"))
    _, other_key = make_certificate(folder(tmp_path, "other"))
    encrypted = tmp_path / "encrypted.pem"
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    encrypted.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    nothing = tmp_path / "empty.pem"
    nothing.touch()
    for files, said in (
        ((tmp_path / "missing.pem", key), "missing.pem: No such file"),
        ((certificate, other_key), "key values mismatch"),
        ((certificate, encrypted), "the key is encrypted"),
        ((nothing, key), "empty.pem"),
    ):
        with pytest.raises(CertificateUnusable, match=said):
            Certificate(*files)
    assert certificate_of(HttpSettings()) is None
    with pytest.raises(SettingsWrong, match=r"http\.tls_cert and http\.tls_key go together"):
        load_settings(environment={"AXON_HTTP_TLS_CERT": str(certificate)})
