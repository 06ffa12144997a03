"""The running Axon of the gateway's tests serves these too."""

from tests.gateway.conftest import axon, client, upstream_address

__all__ = ["axon", "client", "upstream_address"]
