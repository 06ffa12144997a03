"""The model table: what the settings offer, the embedded engine and the wildcard among it."""

import os
from collections.abc import Mapping

from axon.app.settings import EngineSettings, ModelSettings, Settings, WildcardSettings
from axon.inference import Model, ModelTable, Proxies, Upstream

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

PREFILL_TIMEOUT_S = 300.0
"""A small engine on few cores may read a full context for minutes before its first token."""


def model_table(settings: Settings) -> ModelTable:
    """Return every model clients may ask for; raises ModelTableInvalid."""
    models = [_configured(alias, model) for alias, model in settings.models.items()]
    if settings.engine.url:
        models.append(_embedded(settings.engine))
    wildcard = _wildcard(settings.upstream) if settings.upstream.url else None
    return ModelTable(tuple(models), wildcard)


def proxies(environment: Mapping[str, str] = os.environ) -> Proxies:
    """Return the forward proxies the environment names, as curl reads them; this machine's own
    servers, the embedded engine among them, are always reached directly.
    """
    named = {name.lower(): value for name, value in environment.items()}
    exceptions = [host.strip() for host in named.get("no_proxy", "").split(",")]
    return Proxies(
        http=named.get("http_proxy", ""),
        https=named.get("https_proxy", ""),
        none_for=(*_THIS_MACHINE, *filter(None, exceptions)),
    )


def _configured(alias: str, model: ModelSettings) -> Model:
    upstreams = tuple(
        Upstream(
            name=upstream.name,
            base_url=upstream.base_url,
            model=upstream.model or alias,
            key=upstream.key,
            weight=upstream.weight,
            order=upstream.order,
            slots=upstream.slots,
            connect_timeout_ms=upstream.connect_timeout_ms,
            first_token_timeout_s=upstream.first_token_timeout_s,
            idle_timeout_s=upstream.idle_timeout_s,
            total_timeout_s=upstream.total_timeout_s,
            always_stream=upstream.always_stream,
            metrics=upstream.metrics,
            ca_path=upstream.ca_path,
        )
        for upstream in model.upstreams
    )
    return Model(
        alias=alias,
        context_window=model.context_window,
        output_tokens_max=model.output_tokens_max,
        upstreams=upstreams,
    )


def _embedded(engine: EngineSettings) -> Model:
    upstream = Upstream(
        name="engine",
        base_url=engine.url,
        model=engine.alias,
        slots=engine.slots,
        first_token_timeout_s=PREFILL_TIMEOUT_S,
        always_stream=True,
    )
    return Model(
        alias=engine.alias,
        context_window=engine.context_window,
        output_tokens_max=engine.output_tokens_max,
        upstreams=(upstream,),
    )


def _wildcard(wildcard: WildcardSettings) -> Model:
    upstream = Upstream(
        name="upstream",
        base_url=wildcard.url,
        model="",
        key=wildcard.key,
        slots=wildcard.slots,
    )
    return Model(
        alias="*",
        context_window=wildcard.context_window,
        output_tokens_max=wildcard.output_tokens_max,
        upstreams=(upstream,),
    )
