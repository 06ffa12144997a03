"""docs/routes.md, from the gateway's tables."""

from axon.gateway import routes

_HEAD = """# Routes

Made by `python -m axon.app.reference`; do not edit.

What OpenAI offers too has OpenAI's shape, errors included. Everything under `/v1` wants
`Authorization: Bearer sk-axon-...`, or the pass of a user. What is under `/api/v1` wants a
key, and has OpenMeter's shapes.

*Who may* names permissions of users, of which one is enough; "acts for users" is a key made with
`--acts-for-users`. Nobody else is let in, and nobody reaches what is of another organization
([access.md](access.md)).
"""


def routes_page() -> str:
    """Return the whole page as Markdown."""
    rows = ["| method | path | who may | what it does |", "|---|---|---|---|"]
    rows += [f"| {one.method} | `{one.path}` | {one.who} | {one.meaning} |" for one in routes()]
    return "\n".join([_HEAD, *rows]) + "\n"
