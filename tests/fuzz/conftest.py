"""The fake upstream of the gateway's tests."""

from tests.gateway.conftest import upstream_address

__all__ = ["upstream_address"]
