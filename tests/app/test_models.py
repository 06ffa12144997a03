"""The model table holds what the settings offer, the embedded engine and the wildcard."""

from axon.app.models import model_table, proxies
from axon.app.settings import (
    EngineSettings,
    ModelSettings,
    Settings,
    UpstreamSettings,
    WildcardSettings,
)


def test_a_configured_model_has_its_upstreams_and_its_name_there() -> None:
    upstreams = (
        UpstreamSettings(name="a", base_url="http://a/v1", model="large", weight=3),
        UpstreamSettings(name="b", base_url="http://b/v1", order=1, key="k"),
    )
    table = model_table(Settings(models={"chat": ModelSettings(upstreams=upstreams)}))
    model = table.resolve("chat")
    assert [upstream.model for upstream in model.upstreams] == ["large", "chat"]
    assert [upstream.weight for upstream in model.upstreams] == [3, 1]
    assert [upstream.key for upstream in model.upstreams] == ["", "k"]


def test_the_embedded_engine_is_a_model_that_is_always_streamed_from() -> None:
    settings = Settings(engine=EngineSettings(url="http://127.0.0.1:2/v1", slots=3))
    model = model_table(settings).resolve("smollm2")
    assert (model.upstreams[0].always_stream, model.upstreams[0].slots) == (True, 3)


def test_the_wildcard_passes_any_name_on() -> None:
    settings = Settings(upstream=WildcardSettings(url="http://other/v1", key="k"))
    model = model_table(settings).resolve("whatever")
    assert (model.upstreams[0].model, model.upstreams[0].key) == ("whatever", "k")


def test_nothing_set_offers_nothing() -> None:
    assert model_table(Settings()).served() == ()


def test_proxies_are_read_as_curl_does_and_never_used_for_this_machine() -> None:
    found = proxies({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "a.example, b.example"})
    assert found.https == "http://proxy:3128"
    assert found.for_host("https", "api.example") == "http://proxy:3128"
    assert found.for_host("https", "b.example") == ""
    assert found.for_host("https", "127.0.0.1") == ""
