"""Checks of what is reached over a connection: Axon itself, Valkey, the upstreams."""

import asyncio
import http.client
from contextlib import closing
from urllib.parse import urlsplit

from axon.app.doctor.finding import Examined, Finding, broken, ok, warning
from axon.app.embedded.model import EngineMissing, find_model, require_engine
from axon.app.models import model_table
from axon.app.probe import get
from axon.inference import Upstream
from axon.stores import StoreError, Valkey

_TIMEOUT_S = 5.0
_REFUSED_KEY = (401, 403)


async def check_serving(examined: Examined) -> list[Finding]:
    """Ask the serving process whether it takes turns."""
    if examined.running is None:
        return [warning("serving", "axon up does not run here", "axon up")]
    address = urlsplit(examined.running.base_url)
    answer = await get(address.hostname or "", address.port or 80, "/readyz")
    log = examined.folder.logs / "serving.log"
    if answer is None:
        return [broken("serving", f"{examined.running.base_url} does not answer", f"See {log}.")]
    if answer[0] != 200:
        seen = f"not ready: {answer[1][:200].decode(errors='replace')}"
        return [broken("serving", seen, f"GET /status says why; see also {log}.")]
    return [ok("serving", examined.running.base_url)]


async def check_valkey(examined: Examined) -> list[Finding]:
    """Connect to Valkey; without it turns go on, more slowly."""
    if not examined.valkey_url:
        return [
            warning("valkey", "none is running here", "Start `axon up`, or set AXON_VALKEY_URL.")
        ]
    try:
        valkey = Valkey(examined.valkey_url)
        await valkey.start()
        try:
            await asyncio.wait_for(valkey.call("PING"), _TIMEOUT_S)
        finally:
            await valkey.stop()
    except StoreError as error:
        embedded = not examined.settings.valkey.url
        log = examined.folder.logs / "valkey.log"
        advice = f"See {log}." if embedded else "Check AXON_VALKEY_URL and that server."
        return [broken("valkey", str(error), f"{advice} Turns go on meanwhile, more slowly.")]
    return [ok("valkey", "answers")]


async def check_models(examined: Examined) -> list[Finding]:
    """Ask every upstream for its models."""
    upstreams = {
        upstream.name: upstream
        for model in model_table(examined.settings).served()
        for upstream in model.upstreams
    }
    running = examined.running
    if not upstreams and running is not None and running.upstream_url:
        name = "engine" if "engine" in running.pids else "upstream"
        chosen = Upstream(name=name, base_url=running.upstream_url, model="")
        return [await asyncio.to_thread(_ask, chosen, key_known=False)]
    if not upstreams:
        return [_embedded_engine(examined)]
    asked = (asyncio.to_thread(_ask, upstream) for upstream in upstreams.values())
    return list(await asyncio.gather(*asked))


def _embedded_engine(examined: Examined) -> Finding:
    try:
        require_engine()
    except EngineMissing as error:
        return broken("engine", "not installed", str(error))
    model = examined.settings.engine.model_path or find_model(examined.folder.root)
    if model is None:
        return warning("engine", "its model is not here yet", "axon up downloads it, once.")
    return ok("engine", str(model))


def _ask(upstream: Upstream, key_known: bool = True) -> Finding:
    """Fetch the upstream's list of models; blocks for a few seconds at most."""
    part = f"upstream {upstream.name}"
    address = urlsplit(upstream.base_url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    headers = {"authorization": f"Bearer {upstream.key}"} if upstream.key else {}
    path = address.path.rstrip("/") or "/v1"
    try:
        with closing(kind(address.hostname or "", address.port, timeout=_TIMEOUT_S)) as connection:
            connection.request("GET", f"{path}/models", headers=headers)
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        advice = "Check its base_url, and that it runs."
        return broken(part, f"{upstream.base_url}: {error}", advice)
    if status in _REFUSED_KEY and key_known:
        return broken(part, f"refuses the key ({status})", "Check its key in the settings.")
    if status >= 500:
        return broken(part, f"answers {status}", "Look at that server.")
    return ok(part, f"{upstream.base_url} answers")
