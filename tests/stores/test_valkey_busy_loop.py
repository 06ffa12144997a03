"""A loop that is busy itself does not take its own slowness for Valkey's."""

import time

import uvloop

from axon.stores import Valkey

TIMEOUT_MS = 20
BUSY_S = 0.05
ROUNDS = 10


def test_an_answer_that_waits_in_the_socket_is_read(valkey_url: str) -> None:
    async def scenario() -> list[object]:
        valkey = Valkey(valkey_url, timeout_ms=TIMEOUT_MS)
        await valkey.start()
        answers: list[object] = []
        try:
            for _ in range(ROUNDS):
                asked = valkey.call("PING")
                time.sleep(BUSY_S)  # noqa: ASYNC251 - a round of the loop that takes too long
                answers.append(await asked)
        finally:
            await valkey.stop()
        return answers

    assert uvloop.run(scenario()) == [b"PONG"] * ROUNDS
