"""The command line: every command, its options and its examples."""

from axon.app.cli.main import main

__all__ = ["main"]
