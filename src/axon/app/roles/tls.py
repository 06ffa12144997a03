"""TLS at Axon's own door: 1.3 and nothing older, with a certificate that may be renewed."""

import asyncio
import ssl
from pathlib import Path

from axon.app.settings import HttpSettings
from axon.base import AxonError
from axon.telemetry import log

LOOK_EVERY_S = 10.0
"""How soon a renewed certificate is used: whoever renews it need not tell us."""

_Stamp = tuple[tuple[int, int], ...]


class CertificateUnusable(AxonError):
    """The files of http.tls_cert and http.tls_key are no certificate with its key, in PEM form."""


class Certificate:
    """The certificate of this node's door, read again when its files change."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Blocks while the files are read; raises CertificateUnusable."""
        self._files = (certificate, key)
        self._stamp = self._look()
        self.context = _context(*self._files)
        """Of every handshake; those that come after a change see the new certificate."""

    async def follow(self) -> None:
        """Use what the files say whenever they have changed, for ever; a background task."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await asyncio.to_thread(self.read_again)

    def read_again(self) -> bool:
        """Use what the files say now; return whether that is new. Blocks.

        Files that do not fit each other, as in the middle of a renewal, change nothing: they are
        looked at again the next time.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return False
        try:
            _context(*self._files)  # a context that was given half of it would be of no use
            self.context.load_cert_chain(*self._files, password=_no_password)
        except (CertificateUnusable, OSError, ValueError) as error:
            log.warning("tls.certificate", "The certificate stays.", error__message=str(error))
            return False
        self._stamp = stamp
        log.info("tls.certificate", "The certificate was read again.")
        return True

    def _look(self) -> _Stamp:
        try:
            found = [path.stat() for path in self._files]
        except OSError:
            return ()
        return tuple((one.st_mtime_ns, one.st_ino) for one in found)


def certificate_of(http: HttpSettings) -> Certificate | None:
    """Return the certificate the settings name, None where they name none; blocks.

    Raises CertificateUnusable.
    """
    if not http.tls_cert:
        return None
    return Certificate(Path(http.tls_cert).expanduser(), Path(http.tls_key).expanduser())


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    for path in (certificate, key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise CertificateUnusable(f"{path}: {error.strerror}") from error
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise CertificateUnusable(f"{certificate} with {key}: {_reason(error)}") from error
    return context


def _no_password() -> str:
    """Refuse a key that wants a password: asked for on a terminal, it would hold up the start."""
    raise ValueError("the key is encrypted; give one that is not, readable by its owner only")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error).replace("_", " ").lower()
