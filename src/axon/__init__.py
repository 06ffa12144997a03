"""Axon: the stateful, durable control plane for LLM serving."""

__version__ = "0.1.0"
