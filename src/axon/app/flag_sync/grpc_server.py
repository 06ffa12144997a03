"""Serves flagd.sync.v1 by gRPC. Needs the extra `axon[flagd]`; its command alone loads it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc

from axon.app.flag_sync.source import FlagSource
from axon.app.flag_sync.wire import (
    FETCH,
    REQUEST_BYTES_MAX,
    SERVICE,
    STREAM,
    RequestInvalid,
    answer_of,
    selector_of,
)
from axon.base import AxonError

CALLS_MAX = 256
"""At once, streams among them; each has a thread, and one more is refused. A process of a service
opens one stream."""

STOP_WITHIN_S = 2.0


class AddressTaken(AxonError):
    """The address cannot be listened at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What TLS needs, in PEM."""

    chain: bytes
    key: bytes


class SyncServer:
    """Answers whoever reaches its address."""

    def __init__(self, source: FlagSource, address: str, certificate: Certificate | None) -> None:
        """Listen at `address`, `host:port`, in clear without a certificate; raise AddressTaken."""
        self._source = source
        self._server = grpc.server(
            ThreadPoolExecutor(CALLS_MAX, "flag-sync"),
            handlers=[grpc.method_handlers_generic_handler(SERVICE, self._handlers())],
            options=[
                ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=CALLS_MAX,
        )
        try:
            self.port = self._listen(address, certificate)
        except (RuntimeError, ValueError) as error:
            raise AddressTaken(f"{address}: {error}") from error
        self._server.start()

    def _listen(self, address: str, certificate: Certificate | None) -> int:
        if certificate is None:
            return int(self._server.add_insecure_port(address))
        pair = [(certificate.key, certificate.chain)]
        return int(self._server.add_secure_port(address, grpc.ssl_server_credentials(pair)))

    def _handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        return {
            STREAM: grpc.unary_stream_rpc_method_handler(self._stream),
            FETCH: grpc.unary_unary_rpc_method_handler(self._fetch),
        }

    def _stream(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Tell the flags, and again whenever they change, until the client goes."""
        _check(request, context)
        for document in self._source.documents():
            if not context.is_active():
                return
            if document is not None:
                yield answer_of(document)
        context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")

    def _fetch(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Tell the flags once."""
        _check(request, context)
        return answer_of(self._source.document)

    def stop(self) -> None:
        """Let every client go; blocks for STOP_WITHIN_S seconds at most."""
        self._source.stop()
        self._server.stop(STOP_WITHIN_S).wait(STOP_WITHIN_S)


def _check(request: bytes, context: grpc.ServicerContext) -> None:
    """End a call that asks for what there is not."""
    try:
        selector = selector_of(request)
    except RequestInvalid as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    if selector:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "there is one set of flags: no selector")
