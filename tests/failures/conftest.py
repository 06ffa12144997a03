"""The running Axon of the promises' tests, to be hurt here too."""

from tests.promises.conftest import axon, client, own_axon, upstream_address

__all__ = ["axon", "client", "own_axon", "upstream_address"]
