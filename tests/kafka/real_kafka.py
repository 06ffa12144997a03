"""One real Apache Kafka broker (KRaft, a single node), started, killed and wiped by the tests."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

_CLUSTER = "4L6g3nShT-eMCtK--X86sw"
USER, PASSWORD = "axon", "right"
STARTS_WITHIN_S = 120.0

_PROPERTIES = r"""
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{login},\
  CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,\
  CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config={module} required user_{user}="{password}";
log.dirs={data}
num.partitions=3
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""

_LOGGING = """
<Configuration status="WARN"><Appenders><Console name="out"/></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


class RealKafka:
    """A broker whose data survives `kill` and `start`, and not `wipe`."""

    def __init__(self, jars: Path, folder: Path) -> None:
        self._folder = folder
        self._java = ["java", "-Xmx256m", f"-Dlog4j2.configurationFile={folder}/log4j2.xml"]
        self._java += ["-cp", f"{jars}/*"]
        self.port, self.login_port, controller = free_ports(3)
        (folder / "log4j2.xml").write_text(_LOGGING)
        properties = _PROPERTIES.format(
            port=self.port,
            login=self.login_port,
            controller=controller,
            data=folder / "data",
            module="org.apache.kafka.common.security.plain.PlainLoginModule",
            user=USER,
            password=PASSWORD,
        )
        (folder / "server.properties").write_text(properties)
        self._process: subprocess.Popen[bytes] | None = None
        self._format()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections; blocks."""
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._folder / "server.properties")],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError((self._folder / "broker.log").read_text()[-4000:])

    def kill(self) -> None:
        """Kill it as a crash would."""
        if self._process is not None:
            with self._process:
                self._process.send_signal(signal.SIGKILL)
            self._process = None

    def wipe(self) -> None:
        """Lose everything it acknowledged."""
        self.kill()
        shutil.rmtree(self._folder / "data")
        self._format()

    def _format(self) -> None:
        tool = [*self._java, "kafka.tools.StorageTool", "format", "--standalone"]
        tool += ["-t", _CLUSTER, "-c", str(self._folder / "server.properties")]
        subprocess.run(tool, check=True, capture_output=True, timeout=STARTS_WITHIN_S)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on; they are taken together, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
