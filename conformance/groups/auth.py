"""Authentication: who gets in, and how those who do not are told."""

from typing import Any

from openai import omit

from conformance.registry import check
from conformance.server import SHORT, Server
from conformance.verdicts import refusal

_MESSAGES: Any = [{"role": "user", "content": SHORT}]
_WRONG = "sk-wrong-0000000000000000000000000000000000000000"


@check("auth", "a wrong key is 401")
async def wrong_key(server: Server) -> str:
    """A key nobody issued is answered with 401 in OpenAI's error shape.

    The SDK raises AuthenticationError from it, and products show "check your key".
    Documented: guides, Error codes, 401 Invalid Authentication.
    """
    async with server.client_with(_WRONG) as stranger:
        call = stranger.chat.completions.create(model=server.model, messages=_MESSAGES)
        error = await refusal(call, 401)
    return f"401, code {error.code}"


@check("auth", "no key is 401")
async def no_key(server: Server) -> str:
    """A call without a key is refused, not served as somebody.

    Documented: API reference, Authentication.
    """
    headers: Any = {"Authorization": omit}
    create = server.client.chat.completions.create
    call = create(model=server.model, messages=_MESSAGES, extra_headers=headers)
    error = await refusal(call, 401)
    return f"401, type {error.type}"


@check("auth", "the list of models wants a key")
async def models_want_a_key(server: Server) -> str:
    """Without the right key nobody learns which models there are.

    Documented: API reference, Authentication; Models, List.
    """
    async with server.client_with(_WRONG) as stranger:
        error = await refusal(stranger.models.list(), 401)
    return f"401, code {error.code}"


@check("auth", "a refused stream is 401, not SSE")
async def refused_stream(server: Server) -> str:
    """A streamed request with a wrong key gets the status, not a 200 with an error inside.

    A client that sees 200 shows an empty answer instead of asking for the key.
    Documented: guides, Error codes, 401 Invalid Authentication.
    """
    async with server.client_with(_WRONG) as stranger:
        call = stranger.responses.create(model=server.model, input=SHORT, stream=True)
        error = await refusal(call, 401)
    return f"401, code {error.code}"


@check("auth", "a wrong key learns nothing of an id")
async def wrong_key_on_an_id(server: Server) -> str:
    """Reading a stored response with a wrong key is 401 whether or not the id exists.

    A 404 for some ids and a 401 for others tells a stranger which conversations exist.
    Documented: guides, Error codes, 401 Invalid Authentication.
    """
    stored = await server.respond()
    async with server.client_with(_WRONG) as stranger:
        await refusal(stranger.responses.retrieve(stored.id), 401)
        await refusal(stranger.responses.retrieve(stored.id[:-4] + "0000"), 401)
    return "401 for both"
