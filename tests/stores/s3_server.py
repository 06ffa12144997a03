"""A real S3: SeaweedFS in one process on free ports, which starts in seconds."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axon.stores import ObjectsAddress

ACCESS_KEY, SECRET = "axon-test-key", "axon-test-secret"
STARTS_WITHIN_S = 60.0

_PROGRAM = Path(sys.executable).parent / "weed"


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@contextmanager
def s3_server(folder: Path) -> Iterator[ObjectsAddress]:
    """Run it; lend the address of a bucket, which is there once something is written."""
    names = ("master", "volume", "filer", "s3")
    http, grpc = _free_ports(len(names)), _free_ports(len(names))
    ports = [f"-{name}.port={port}" for name, port in zip(names, http, strict=True)]
    ports += [f"-{name}.port.grpc={port}" for name, port in zip(names, grpc, strict=True)]
    process = subprocess.Popen(
        [_PROGRAM, "-logtostderr=true", "server", f"-dir={folder}", "-ip=127.0.0.1", *ports,
         "-ip.bind=127.0.0.1", "-s3", "-volume.max=4", "-master.volumeSizeLimitMB=64",
         "-master.telemetry=false"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
    )  # fmt: skip
    try:
        _wait(http[-1])
        yield ObjectsAddress(
            url="s3://axon/prefix",
            endpoint=f"http://127.0.0.1:{http[-1]}",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET,
        )
    finally:
        process.kill()
        process.wait()


def _wait(port: int) -> None:
    """Return when the port is taken; it answers a moment later."""
    end = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server did not start")
