"""Runs the command line as `python -m axon.app.cli`: so does `axon up` start its roles."""

from axon.app.cli.main import main

main()
