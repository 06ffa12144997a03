"""Measurements of Axon against plain references, in one run."""
