"""Order: many turns at once on one conversation leave whole pairs in one order."""

import asyncio
import itertools

from openai import APIStatusError

from conformance.events import last_response
from conformance.groups.conversations import said_by
from conformance.registry import check
from conformance.server import ENDED, SHORT, Server, input_tokens
from conformance.verdicts import offered, require

_TURNS = 32
_RETRIES = 40
_RETRY_S = 0.25
_LOCKED = frozenset({409, 429, 503})


def _is_locked(error: APIStatusError) -> bool:
    """Return whether the server asks to come again; OpenAI says so with 400 and a code."""
    return error.status_code in _LOCKED or error.code == "conversation_locked"


async def _turn(server: Server, conversation: str, said: str, streamed: bool) -> tuple[int, int]:
    """Take one turn; return the tokens it read and how often it was told to come again."""
    for tries in range(_RETRIES):
        try:
            if not streamed:
                response = await server.respond(said, conversation=conversation)
                return input_tokens(response), tries
            events = await server.stream(said, conversation=conversation)
            final = last_response(events)
            require(final.status in ENDED, f"a stream ended as {final.status}")
            return input_tokens(final), tries
        except APIStatusError as error:
            if not _is_locked(error):
                raise
            await asyncio.sleep(_RETRY_S)
    require(False, f"locked {_RETRIES} times in a row")
    raise AssertionError


@check("order", f"{_TURNS} turns at once", budget_s=180)
async def turns(server: Server) -> str:
    """Of 32 parallel turns, half of them streamed, each leaves its own pair, whole and once.

    Two devices, a double click, an agent's threads: people do send at once.
    Documented: guides, Conversation state; OpenAI locks the conversation and asks to retry.
    """
    conversation = (await server.conversation()).id
    said = [f"{SHORT} ({number})" for number in range(_TURNS)]
    done = await asyncio.gather(
        *(_turn(server, conversation, text, number % 2 == 0) for number, text in enumerate(said))
    )
    items = await server.items(conversation)
    roles = [str(getattr(item, "role", item.type)) for item in items if item.type != "reasoning"]
    require(len(roles) == 2 * _TURNS, f"{len(roles)} items of {2 * _TURNS}")
    require(roles == ["user", "assistant"] * _TURNS, "pairs are torn apart")
    kept = [said_by(item) for item in items if getattr(item, "role", "") == "user"]
    require(sorted(kept) == sorted(said), "a turn is missing or doubled")
    again = sum(tries for _, tries in done)
    return f"{_TURNS} whole pairs, told to retry {again} times"


@check("order", "each turn saw all before it", budget_s=180)
async def histories(server: Server) -> str:
    """In the order of the conversation, each of 16 parallel turns read more than the one before.

    Order on paper is worth nothing if the model saw another one.
    Documented: guides, Conversation state.
    """
    conversation = (await server.conversation()).id
    said = [f"{SHORT} ({number:02})" for number in range(16)]
    done = await asyncio.gather(*(_turn(server, conversation, text, False) for text in said))
    read = {text: tokens for text, (tokens, _) in zip(said, done, strict=True)}
    kept = [said_by(item) for item in await server.items(conversation)]
    in_order = [read[text] for text in kept if text in read]
    require(len(in_order) == len(said), f"{len(in_order)} turns of {len(said)} are there")
    rising = all(one < next_ for one, next_ in itertools.pairwise(in_order))
    require(rising, f"tokens read in order: {in_order[:6]}...")
    return f"{in_order[0]} to {in_order[-1]} tokens, rising"


@check("order", "items added at once stay together", budget_s=90)
async def blocks(server: Server) -> str:
    """Ten parallel calls that add three items each leave ten blocks of three.

    An agent stores a call with its result; something between the two spoils the history.
    Documented: API reference, Conversations, Items, Create; that blocks stay whole is not.
    """
    conversation = (await server.conversation()).id
    add = server.client.conversations.items.create

    async def three(number: int) -> None:
        for _ in range(_RETRIES):
            try:
                await offered_items(number)
            except APIStatusError as error:
                if not _is_locked(error):
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def offered_items(number: int) -> None:
        said = [f"({number}.{part})" for part in range(3)]
        items = [{"type": "message", "role": "user", "content": text} for text in said]
        await add(conversation, items=items)  # type: ignore[arg-type]

    await offered(add(conversation, items=[{"type": "message", "role": "user", "content": "0"}]))
    await asyncio.gather(*(three(number) for number in range(10)))
    kept = [said_by(item) for item in await server.items(conversation)][1:]
    require(len(kept) == 30, f"{len(kept)} items of 30")
    for start in range(0, 30, 3):
        number = kept[start].strip("()").split(".")[0]
        block = [f"({number}.{part})" for part in range(3)]
        require(kept[start : start + 3] == block, f"torn at item {start}")
    return "10 blocks of 3"
