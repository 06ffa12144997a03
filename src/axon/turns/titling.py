"""A title for a conversation, made by a model from its first words."""

import msgspec

from axon.turns.compacting import Ask
from axon.turns.failures import NoTitle
from axon.turns.request import TurnRequest

TITLE_CHARS_MAX = 80
"""What a list of conversations has room for."""

READ_CHARS_MAX = 4000
"""How much of a conversation is read: what it is about is said at its beginning."""

_TITLE_TOKENS_MAX = 32
_TASK = (
    "Give the conversation below a title of at most six words, in its own language. "
    "Answer with the title alone, without quotation marks."
)


async def make_title(about: TurnRequest, said: str, ask: Ask) -> str:
    """Return a title for what was said, on behalf of the person `about` names.

    Raises what `ask` does, and NoTitle when the model says nothing.
    """
    messages = [
        {"role": "system", "content": _TASK},
        {"role": "user", "content": said[:READ_CHARS_MAX]},
    ]
    body = msgspec.json.encode(
        {
            "model": about.model,
            "messages": messages,
            "max_tokens": _TITLE_TOKENS_MAX,
            "temperature": 0,
        }
    )
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    asked = await ask(
        msgspec.structs.replace(
            about, body=body, fields=fields, output_tokens_max=_TITLE_TOKENS_MAX
        )
    )
    lines = asked.text.strip().splitlines()
    title = lines[0].strip().strip("\"'*#").strip()[:TITLE_CHARS_MAX] if lines else ""
    if not title:
        raise NoTitle
    return title
