"""A conformance and durability suite for servers that speak OpenAI's stateful API."""

VERSION = "1"
"""Raised when a check is added, removed or judges differently; stands in every saved result."""
