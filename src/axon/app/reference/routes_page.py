"""docs/routes.md, from the gateway's tables."""

from axon.gateway import routes

_HEAD = """# Routes

Made by `python -m axon.app.reference`; do not edit.

What OpenAI offers too has OpenAI's shape, errors included. Everything under `/v1` wants
`Authorization: Bearer sk-axon-...`, or the pass of a user. What is under `/api/v1` wants a
key, and has OpenMeter's shapes.
"""


def routes_page() -> str:
    """Return the whole page as Markdown."""
    rows = ["| method | path | what it does |", "|---|---|---|"]
    rows += [f"| {method} | `{path}` | {meaning} |" for method, path, meaning in routes()]
    return "\n".join([_HEAD, *rows]) + "\n"
