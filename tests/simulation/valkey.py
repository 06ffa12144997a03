"""Valkey at the other end of a byte stream that may break, stall, or lead to another server."""

import asyncio
from typing import Any

import hiredis

from tests.simulation.real_servers import RealValkey
from tests.simulation.world import Process, World, running_process

_RUN_ID_DIGITS = 40


class SimulatedValkey:
    """The server as its clients see it; what the functions do is Valkey's own."""

    def __init__(self, world: World, real: RealValkey) -> None:
        self.world = world
        self.real = real
        self.up = True
        self.frozen = False
        self.slow = 1.0
        self.lose_connections = 0.0
        self.connections: list[SimulatedTransport] = []
        self._run_id = self._new_run_id()
        self._memory: list[tuple[bytes, bytes]] = []

    def _new_run_id(self) -> bytes:
        return b"%040x" % self.world.dice.getrandbits(4 * _RUN_ID_DIGITS)

    async def connect(self, protocol_factory: Any) -> Any:
        """Stand in for a loop's create_unix_connection."""
        await asyncio.sleep(self.world.between(0.0002, 0.003))
        while self.frozen:
            await asyncio.sleep(0.01)
        if not self.up:
            raise ConnectionRefusedError("simulated Valkey is away")
        process = running_process()
        protocol = protocol_factory()
        transport = SimulatedTransport(self, process, protocol)
        process.call_soon(protocol.connection_made, transport)
        return transport, protocol

    # ---- what happens to it ----

    def go_away(self) -> None:
        """Stop; it has forgotten everything when it comes back."""
        self.up = False
        for connection in list(self.connections):
            connection.lose()
        self.real.wipe()

    def come_back(self) -> None:
        """Be there again, as another server, empty or with an old memory."""
        self.up = True
        self._run_id = self._new_run_id()
        if self._memory and self.world.chance(0.4):
            self.world.tell("valkey has an old memory")
            self.real.remember(self._memory)

    def save(self) -> None:
        """Remember what is known now, for a server that comes back with it."""
        self._memory = self.real.memory()

    def forget(self) -> None:
        """Lose every key, saying nothing: an eviction, or somebody's FLUSHALL."""
        self.real.call("FLUSHALL")

    def forget_some(self) -> None:
        """Lose some keys."""
        for key in sorted(self.real.call("KEYS", "*")):
            if self.world.chance(0.3):
                self.real.call("DEL", key)

    def thaw(self) -> None:
        """Go on where it was frozen: what was sent meanwhile is carried out now."""
        self.frozen = False
        for connection in list(self.connections):
            connection.arrive()

    def process_died(self, process: Process) -> None:
        """Carry out what a dead client had sent, or half of it."""
        for connection in list(self.connections):
            if connection.process is process:
                if self.world.chance(0.5) and not self.frozen:
                    connection.arrive()
                self.connections.remove(connection)

    def answer(self, sent: bytes) -> bytes:
        """Return Valkey's answers to these commands."""
        reader = hiredis.Reader(notEnoughData=self)
        reader.feed(sent)
        count = 0
        while reader.gets() is not self:
            count += 1
        answers: bytes = self.real.exchange(sent, count)
        place = answers.find(b"run_id:")
        if place >= 0:
            place += len(b"run_id:")
            answers = answers[:place] + self._run_id + answers[place + _RUN_ID_DIGITS :]
        return answers


class SimulatedTransport(asyncio.Transport):
    """One connection's end in a process."""

    def __init__(self, server: SimulatedValkey, process: Process, protocol: Any) -> None:
        super().__init__()
        self.process = process
        self._server = server
        self._protocol = protocol
        self._sent: list[bytes] = []
        self._closed = False
        self._heard_s = 0.0
        server.connections.append(self)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def write(self, data: Any) -> None:
        if self._closed:
            return
        server = self._server
        if server.world.chance(server.lose_connections):
            self.lose()
            return
        self._sent.append(bytes(data))
        self.process.call_later(server.world.between(0.00005, 0.001) * server.slow, self.arrive)

    def arrive(self) -> None:
        """Have everything that was sent carried out, and the answers on their way."""
        server = self._server
        if server.frozen or not self._sent or self not in server.connections:
            return
        sent = b"".join(self._sent)
        self._sent.clear()
        answers = server.answer(sent)
        if not self._closed and not self.process.dead:
            delay = server.world.between(0.00005, 0.001) * server.slow
            self._heard_s = max(self._heard_s, server.world.now + delay)  # bytes keep their order
            self.process.call_at(self._heard_s, self._hear, answers)

    def _hear(self, answers: bytes) -> None:
        if not self._closed:
            self._protocol.data_received(answers)

    def abort(self) -> None:
        """Close from this end: what was sent may still be carried out."""
        if self._closed:
            return
        self._closed = True
        if not self._server.frozen:
            self.arrive()
            self._server.connections.remove(self)
        self.process.call_soon(self._protocol.connection_lost, None)

    close = abort

    def lose(self) -> None:
        """Break from the other end; what was sent is lost."""
        self._server.connections.remove(self)
        self._sent.clear()
        if not self._closed:
            self._closed = True
            error = ConnectionResetError("simulated")
            self.process.call_soon(self._protocol.connection_lost, error)
