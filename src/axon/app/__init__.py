"""Start here: the command line, one file per role, settings, wiring and the embedded servers."""
