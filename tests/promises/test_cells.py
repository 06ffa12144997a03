"""Two cells: no byte of an EU person reaches the US one, which speaks TLS and keeps its secrets.

EU traffic with canaries is sent to both doors. Then every file of the US cell (its journals,
PostgreSQL and its write-ahead log, keys, log lines), its whole Valkey and all rows of its database
are searched for the canaries, for the EU's ids, and for what the EU cell has sealed.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from axon.accounts import StillHere
from bench.gateways import nginx_binary
from tests.gateway.audited import soon
from tests.promises.reading import release
from tests.promises.two_cells import (
    MODEL,
    SECRETS,
    URLS,
    Cell,
    Servers,
    connect,
    run_command,
    running_cells,
)
from tests.stores.tls_proxy import make_certificate

CANARY = "zugspitze-canary"
"""In everything a client can say: bodies, names, headers, paths and queries."""

BLOB_PIECE_BYTES = 24
"""Of the middle of a sealed blob: 192 random bits are nowhere by chance."""

Running = tuple[dict[str, Cell], Servers]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[Running]:
    with running_cells(tmp_path_factory.mktemp("cells"), upstream_address) as found:
        yield found


@pytest.fixture(scope="module")
def cells(running: Running) -> dict[str, Cell]:
    return running[0]


def requests_of_ada(conversation: str, response: str) -> list[tuple[str, str, Any]]:
    """Return every kind of request that says something of a person, or names what is theirs."""
    me = {"safety_identifier": f"ada-{CANARY}"}
    message = {"role": "user", "content": CANARY}
    event = {
        "specversion": "1.0", "id": CANARY, "source": CANARY, "type": "x", "subject": CANARY,
        "data": {"words": CANARY},
    }  # fmt: skip
    chat = {"model": MODEL, "messages": [message], "store": True, **me}
    turn = {"model": MODEL, "input": CANARY, "metadata": {"note": CANARY}, **me}
    flags = {"context": {"targetingKey": f"ada-{CANARY}", "note": CANARY}}
    in_conversation = {**turn, "conversation": conversation}
    return [
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/v1/chat/completions", {**chat, "stream": True}),
        ("POST", "/v1/responses", turn),
        ("POST", "/v1/responses", in_conversation),
        ("POST", "/v1/responses", {**turn, "previous_response_id": response}),
        ("POST", "/v1/responses", {**turn, "stream": True, "background": True}),
        ("POST", "/v1/embeddings", {"model": MODEL, "input": CANARY, **me}),
        ("POST", "/v1/completions", {"model": MODEL, "prompt": CANARY, **me}),
        ("POST", "/v1/conversations", {"metadata": {"note": CANARY}, **me}),
        ("POST", f"/v1/conversations/{conversation}", {"title": CANARY}),
        ("GET", f"/v1/conversations/{conversation}/items", None),
        ("GET", f"/v1/conversations/search?q={CANARY}", None),
        ("GET", f"/v1/responses/{response}?stream=true", None),
        ("POST", "/v1/feedback", {"response_id": response, "rating": "up", "comment": CANARY}),
        ("POST", "/v1/user_passes", {"user": f"ada-{CANARY}"}),
        ("POST", "/v1/privacy/export", {"user": f"ada-{CANARY}", "reason": CANARY}),
        ("POST", "/api/v1/events", [event]),
        ("GET", f"/api/v1/subjects/{quote(CANARY)}/entitlements/x/value", None),
        ("POST", "/ofrep/v1/evaluate/flags", flags),
        ("POST", f"/ofrep/v1/evaluate/flags/{CANARY}", flags),
        ("GET", f"/v1/no-such-thing/{CANARY}", None),
    ]


HEADERS = {
    "idempotency-key": CANARY,
    "axon-anonymous-id": CANARY,
    "x-request-id": CANARY,
    "user-agent": CANARY,
}


def misdirected(answer: tuple[int, dict[str, str], str]) -> bool:
    """Return whether an answer is a 421 that says where to go, and repeats nothing."""
    status, headers, text = answer
    assert CANARY not in text + str(headers)
    told = json.loads(text)
    told = told.get("error", told)
    where = (told["region"], told["base_url"], headers["axon-region"], headers["axon-base-url"])
    return (status, where) == (421, ("eu", URLS["eu"], "eu", URLS["eu"]))


def test_no_byte_of_an_eu_person_reaches_a_store_of_the_us_cell(cells: dict[str, Cell]) -> None:
    eu, us = cells["eu"], cells["us"]
    assert eu.key.startswith("sk-axon-eu-") and us.key.startswith("sk-axon-us-")
    me = {"safety_identifier": f"ada-{CANARY}"}
    _, _, text = eu.send("POST", "/v1/conversations", {**me})
    conversation = json.loads(text)["id"]
    turn = {"model": MODEL, "input": CANARY, "conversation": conversation, **me}
    response = json.loads(eu.send("POST", "/v1/responses", turn)[2])["id"]
    ada = json.loads(eu.send("POST", "/v1/user_passes", {"user": f"ada-{CANARY}"})[2])["value"]
    asked = requests_of_ada(conversation, response)

    with ThreadPoolExecutor(4) as threads:  # at the right door
        served = list(threads.map(lambda one: eu.send(*one)[0], asked))
    assert 421 not in served and served.count(200) > len(served) // 2

    for key in (eu.key, ada):  # at the wrong door, with everything that says whose it is
        assert all(misdirected(us.send(*one, key, **HEADERS)) for one in asked)

    # A person of a US organization who lives in the EU: known here by a number alone.
    _place(us, f"ada-{CANARY}")
    _place(us, CANARY)
    _place(us, "probe")  # and the others were placed before
    probe = {"user": "probe"}
    soon(lambda: us.send("POST", "/v1/user_passes", probe)[0] == 421)
    naming = [one for one in asked if CANARY in str(one[2]) and "no-such" not in one[1]]
    named = [one for one in naming if _names_ada(one)]
    assert len(named) > 10
    assert all(misdirected(us.send(*one, **HEADERS)) for one in named)

    # A key from before regions says nothing: it is unknown here, and nothing of it stays.
    assert us.send(*asked[3], key=f"sk-axon-{48 * '0'}", **HEADERS)[0] == 401

    # The US cell serves its own people meanwhile.
    said = {"model": MODEL, "input": "hello from the us", "safety_identifier": "bob"}
    assert us.send("POST", "/v1/responses", said)[0] == 200

    needles = [CANARY.encode(), conversation.encode(), response.encode(), *_sealed(eu)]
    assert len(needles) > 10
    at_home = list(eu.kept())
    assert all(any(needle in kept for kept in at_home) for needle in needles)
    needles += [eu.key.encode(), ada.encode()]
    for kept in us.kept():
        assert not [needle for needle in needles if needle in kept]


def test_a_person_of_another_region_is_known_by_every_name_and_id(cells: dict[str, Cell]) -> None:
    us = cells["us"]
    made = us.send("POST", "/v1/conversations", {"safety_identifier": "carla"})[2]
    carlas = f"/v1/conversations/{json.loads(made)['id']}"
    turn = {"model": MODEL, "input": "hello", "safety_identifier": "dora"}
    doras = f"/v1/responses/{json.loads(us.send('POST', '/v1/responses', turn)[2])['id']}"
    assert us.send("GET", carlas)[0] == us.send("GET", doras)[0] == 200
    soon(lambda: us.lag() == 0)  # PostgreSQL has the keys of what was said
    for name in ("carla", "dora"):
        with pytest.raises(StillHere):
            _place(us, name)
    forgotten = {"user": "carla", "reason": "she moves to the eu"}
    assert us.send("POST", "/v1/privacy/erase", forgotten)[0] == 200
    _place(us, "carla")
    soon(lambda: us.send("GET", carlas)[0] == 421)
    assert us.send("DELETE", carlas)[0] == 421
    assert us.send("GET", doras)[0] == 200
    event = {"specversion": "1.0", "source": "x", "type": "x", "data": {}}
    batch = [{**event, "id": name, "subject": name} for name in ("dora", "carla")]
    assert us.send("POST", "/api/v1/events", batch)[0] == 421
    assert us.send("POST", "/api/v1/events", batch[:1])[0] == 204
    where = "/api/v1/subjects/{}/entitlements/none/value"
    assert us.send("GET", where.format("carla"))[0] == 421
    assert us.send("GET", where.format("dora"))[0] == 404


def _names_ada(asked: tuple[str, str, Any]) -> bool:
    body = asked[2]
    text = json.dumps(body)
    names = (f'"ada-{CANARY}"', f'"subject": "{CANARY}"')
    of_another_cell = ("conversation", "previous_response_id", "response_id")
    return any(name in text for name in names) and not any(
        isinstance(body, dict) and name in body for name in of_another_cell
    )


def _place(cell: Cell, name: str) -> None:
    run_command(cell.axon, "users", "place", name, "--org", "acme", "--region", "eu")


def _sealed(cell: Cell) -> list[bytes]:
    """Return a piece of every sealed blob that the cell's PostgreSQL has."""
    rows = soon(lambda: cell.fetch("SELECT blob FROM conversations.items"))
    return [row["blob"][-BLOB_PIECE_BYTES - 8 : -8] for row in rows]


def test_axon_speaks_tls_13_by_itself(cells: dict[str, Cell], tmp_path: Path) -> None:
    us = cells["us"]
    assert us.axon.base_url.startswith("https://")
    with us.asked("GET", "/v1/models") as answer:
        assert answer.status == 200
        assert answer.getheader("strict-transport-security") == "max-age=31536000"
    netloc = urlsplit(us.axon.base_url).netloc
    kept = connect(netloc, us.certificate)
    for _ in range(3):  # on one connection
        kept.request("GET", "/healthz")
        assert kept.getresponse().read() == b'{"status":"alive"}'
    assert isinstance(kept.sock, ssl.SSLSocket) and kept.sock.version() == "TLSv1.3"
    kept.request("GET", "/healthz", headers={f"x-{number}": "1" for number in range(200)})
    refused = kept.getresponse()
    assert refused.status == 431 and refused.read(), "and the connection ends"
    kept.close()
    assert not _speaks_tls_12(netloc)
    stream_one_by_one(us, netloc, us.certificate)
    certificate = us.certificate
    assert certificate is not None
    begun = connect(netloc, certificate)
    begun.request("GET", "/healthz")
    begun.getresponse().read()
    for renewed in make_certificate(tmp_path):
        certificate.with_name(renewed.name).write_bytes(renewed.read_bytes())
    os.kill(us.axon.pids["serving"][0], signal.SIGHUP)
    soon(lambda: _answers(netloc, certificate))
    begun.request("GET", "/healthz")
    assert begun.getresponse().read() == b'{"status":"alive"}', "open connections stay"
    begun.close()


def _speaks_tls_12(netloc: str) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    host, _, port = netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as plain:
        try:
            context.wrap_socket(plain).close()
        except (ssl.SSLError, ConnectionError):
            return False
    return True


def stream_one_by_one(cell: Cell, netloc: str, certificate: Path | None) -> None:
    """Read a streamed chat of which the engine holds the end back: what it said is there first."""
    gate = f"gate-{netloc}"
    text = f"[[text:one two]][[chunks:2]][[usage_held:{gate}]]"
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": f"Bearer {cell.key}"}
    connection = connect(netloc, certificate)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status == 200
    seen = b""
    while b"two" not in seen:
        line = answer.readline()
        assert line, seen
        seen += line
    assert b"[DONE]" not in seen
    release(cell.axon.upstream, gate)
    assert answer.read().endswith(b"data: [DONE]\n\n")
    connection.close()


CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx" / "axon.conf"

_AROUND = """
worker_processes 1; daemon off; pid nginx.pid; error_log stderr error; {user}
events {{ }}
http {{
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  include axon.conf;
}}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def nginx_before(cell: Cell, folder: Path, certificate: Path) -> Iterator[tuple[str, str]]:
    """Run nginx with the example that is shipped; lend its address for TLS, and that without."""
    port, plain = _free_port(), _free_port()
    changed = CONFIGURATION.read_text()
    for written, here in (
        ("127.0.0.1:8080", urlsplit(cell.axon.base_url).netloc),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("/etc/axon/chain.pem", str(certificate)),
        ("/etc/axon/key.pem", str(certificate.with_name("key.pem"))),
        ("axon.example.com", "127.0.0.1"),
    ):
        assert written in changed
        changed = changed.replace(written, here)
    (folder / "axon.conf").write_text(changed)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_AROUND.format(user=user))
    command = [nginx_binary(), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as nginx:
        netloc = f"127.0.0.1:{port}"
        soon(lambda: nginx.poll() is not None or _answers(netloc, certificate))
        assert nginx.poll() is None and nginx.stderr is not None, "it did not start"
        try:
            yield netloc, f"127.0.0.1:{plain}"
        finally:
            nginx.terminate()


def _answers(netloc: str, certificate: Path) -> bool:
    try:
        connection = connect(netloc, certificate)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
        connection.close()
    except OSError:
        return False
    return status == 200


def test_the_nginx_example_streams_by_tls_13_alone(cells: dict[str, Cell], tmp_path: Path) -> None:
    eu, certificate = cells["eu"], cells["us"].certificate
    assert certificate is not None
    with nginx_before(eu, tmp_path, certificate) as (netloc, plain):
        assert not _speaks_tls_12(netloc)
        stream_one_by_one(eu, netloc, certificate)
        for path, body, status in (
            ("/status", None, 200),  # for this machine alone
            ("/v1/chat/completions", b"x" * (8 * 1024 * 1024 + 1), 413),
        ):
            connection = connect(netloc, certificate)
            connection.request("GET" if body is None else "POST", path, body)
            answer = connection.getresponse()
            assert answer.status == status
            assert answer.getheader("strict-transport-security") == "max-age=31536000"
            answer.read()
            connection.close()
        connection = connect(plain, None)
        connection.request("GET", "/v1/models?x=1")
        moved = connection.getresponse()
        assert moved.status == 308
        assert moved.getheader("location") == "https://127.0.0.1/v1/models?x=1"
        connection.close()


def _process_lists() -> bytes:
    """Return the command lines of every process of this machine."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue  # it has ended
    return b"\n".join(lines)


def test_no_secret_is_in_process_lists_answers_or_log_lines(running: Running) -> None:
    """Last, for the us cell's servers are killed: what is said of outages is read as well."""
    cells, servers = running
    us = cells["us"]
    assert servers.database_url.count(SECRETS["database"]) == 1
    listed = _process_lists()
    assert b"axon.app.cli" in listed and b"postgres" in listed
    turn = {"model": MODEL, "input": "[[fault:500]] hello"}
    said = [us.send("POST", "/v1/responses", turn), us.send("GET", "/v1/responses/resp_none")]
    said += [us.send("POST", "/v1/stripe/events", {}), us.send("GET", "/status")]
    servers.valkey.kill()
    servers.postgres.kill()

    def away() -> bool:
        said.append(us.send("GET", "/status"))
        told = json.loads(said[-1][2])["dependencies"]
        return not (told["postgresql"]["up"] or told["valkey"]["up"])

    soon(away)
    said.append(us.send("POST", "/v1/conversations", {}))
    said.append(us.send("GET", "/v1/invoices"))
    said.append(us.send("GET", "/metrics"))
    lines = [path.read_bytes() for path in (us.axon.data / "logs").glob("*.log")]
    assert any(b"http.request" in line for line in lines)
    told = (us.axon.data / "up.json").read_bytes()
    everything = b"\n".join([listed, _process_lists(), told, str(said).encode(), *lines])
    for name, secret in {**SECRETS, "key": us.key, "development": us.axon.api_key}.items():
        assert secret.encode() not in everything, name
