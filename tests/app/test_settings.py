"""Settings come from a file and from variables, and every mistake is reported at once."""

from decimal import Decimal
from pathlib import Path

import pytest

from axon.app.settings import (
    Settings,
    SettingsWrong,
    entitlements_of,
    load_settings,
    meters_of,
)
from axon.app.settings.loading import variables_of
from axon.base import MIB
from axon.journal import JournalOptions

ONE_MODEL = """
[models.chat]
context_window = 8192
[[models.chat.upstreams]]
name = "first"
base_url = "http://one.example/v1"
[[models.chat.upstreams]]
name = "second"
base_url = "https://two.example/v1"
order = 1
"""


def mistakes(tmp_path: Path, text: str = "", **variables: str) -> list[str]:
    config = tmp_path / "axon.toml"
    config.write_text(text)
    with pytest.raises(SettingsWrong) as caught:
        load_settings(config, variables)
    return caught.value.mistakes


def test_nothing_set_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environment={}) == Settings()


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    config = tmp_path / "axon.toml"
    config.write_text("[http]\nport = 1111\nhost = '0.0.0.0'\n")
    settings = load_settings(config, {"AXON_HTTP_PORT": "2222"})
    assert (settings.http.port, settings.http.host) == (2222, "0.0.0.0")
    assert settings.http.drain_s == Settings().http.drain_s


def test_the_file_is_found_in_the_folder_or_named_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "axon.toml").write_text("data = 'here'")
    (tmp_path / "other.toml").write_text("data = 'there'")
    assert load_settings(environment={}).data == "here"
    assert load_settings(environment={"AXON_CONFIG": "other.toml"}).data == "there"


def test_models_are_tables_with_lists_of_upstreams(tmp_path: Path) -> None:
    config = tmp_path / "axon.toml"
    config.write_text(ONE_MODEL)
    model = load_settings(config, {}).models["chat"]
    assert [upstream.name for upstream in model.upstreams] == ["first", "second"]
    assert model.upstreams[1].order == 1


def test_every_mistake_is_reported_at_once_with_its_name(tmp_path: Path) -> None:
    text = ONE_MODEL.replace("http://one.example/v1", "one.example") + "[logs]\nlevel = 'info'\n"
    found = mistakes(
        tmp_path,
        text,
        AXON_HTTP_PORT="99999",
        AXON_LOG_LEVEL="loud",
        AXON_JOURNAL_SEGMENT_BYTE="1",
    )
    assert sorted(line.split()[0] for line in found) == [
        "AXON_JOURNAL_SEGMENT_BYTE",
        "http.port",
        "log.level",
        "logs",
        "models.chat.upstreams[1].base_url",
    ]


@pytest.mark.parametrize(
    ("text", "variables", "sentence"),
    [
        ("[http]\nport = 'x'", {}, "http.port must be a whole number >= 0 and <= 65535; it is 'x'"),
        ("[http]\nprt = 1", {}, "http.prt is not a setting; did you mean http.port?"),
        ("http = 3", {}, "http must be a table"),
        ("http = 3", {"AXON_HTTP_PORT": "1"}, "http must be a table"),
        ("[models.x]", {}, "models.x.upstreams is missing"),
        ("[models.x]\nupstreams = []", {}, "models.x.upstreams must be a list of tables; it is []"),
        ("[log]\nlevel = 1", {}, "log.level must be one of debug, info, warning, error; it is 1"),
        (
            "",
            {"AXON_HTTP_PRT": "1"},
            "AXON_HTTP_PRT is not a setting; did you mean AXON_HTTP_PORT?",
        ),
    ],
)
def test_a_mistake_says_what_is_wanted(
    tmp_path: Path, text: str, variables: dict[str, str], sentence: str
) -> None:
    assert mistakes(tmp_path, text, **variables) == [sentence]


def test_settings_of_the_journal_that_contradict_each_other_are_a_mistake(tmp_path: Path) -> None:
    """Else a serving process is started and ends, over and over."""
    half, whole = str(MIB // 2), str(MIB)
    sizes = {"AXON_JOURNAL_SEGMENT_BYTES": whole, "AXON_JOURNAL_QUEUE_BYTES_MAX": whole}
    found = mistakes(tmp_path, **sizes, AXON_JOURNAL_ENTRY_BYTES_MAX=whole)
    assert [one.split()[0] for one in found] == ["journal.segment_bytes", "journal.queue_bytes_max"]
    right = load_settings(environment={**sizes, "AXON_JOURNAL_ENTRY_BYTES_MAX": half}).journal
    JournalOptions(
        segment_bytes=right.segment_bytes,
        queue_bytes_max=right.queue_bytes_max,
        entry_bytes_max=right.entry_bytes_max,
    )


METERED = """
[metering.meters.tokens]
event_type = "prompt"
aggregation = "SUM"
value_property = "$.usage.tokens"
group_by = { model = "$.model" }
[metering.entitlements.chat]
meter = "tokens"
amount = 10.5
"""


def test_meters_and_entitlements_are_tables_by_name(tmp_path: Path) -> None:
    config = tmp_path / "axon.toml"
    config.write_text(METERED)
    settings = load_settings(config, {"AXON_METERING_LATE_EVENTS": "refuse"}).metering
    assert settings.late_events == "refuse"
    meter = meters_of(settings).named("tokens")
    assert (meter.value_property, meter.group_by) == ("$.usage.tokens", {"model": "$.model"})
    (one,) = entitlements_of(settings)
    assert (one.key, one.meter, one.amount, one.period) == (
        "chat",
        "tokens",
        Decimal("10.5"),
        "month",
    )


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ('"SUM"', '"TOTAL"', "metering.meters.tokens.aggregation"),
        ('"SUM"', '"COUNT"', "metering.meters.tokens"),
        ('"$.usage.tokens"', '""', "metering.meters.tokens"),
        ('"$.usage.tokens"', '"usage.tokens"', "metering.meters.tokens.value_property"),
        ('"$.model"', '"$.a[0]"', "metering.meters.tokens.group_by.model"),
        ("{ model", "{ subject", "metering.meters.tokens"),
        ("{ model", '{ "a b"', "metering.meters.tokens"),
        ("meters.tokens", 'meters."to kens"', "metering.meters.to kens"),
        ('"tokens"', '"others"', "metering.entitlements.chat.meter"),
        ("entitlements.chat", 'entitlements."c-t"', "metering.entitlements.c-t"),
        ("10.5", "-1", "metering.entitlements.chat.amount"),
        ("10.5", '"many"', "metering.entitlements.chat.amount"),
        ("10.5", '"NaN"', "metering.entitlements.chat.amount"),
    ],
)
def test_what_cannot_be_metered_is_a_mistake(
    tmp_path: Path, before: str, after: str, name: str
) -> None:
    assert before in METERED
    (found, *_) = mistakes(tmp_path, METERED.replace(before, after, 1))
    assert found.startswith(f"{name} ")


def test_an_address_in_a_mistake_is_not_shown_for_it_may_hold_a_password(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, AXON_DATABASE_URL="mysql://me:secret@host/x")
    assert line.startswith("database.url must be an address like postgresql://")
    assert "secret" not in line


def test_a_file_that_is_missing_or_not_toml_is_a_mistake(tmp_path: Path) -> None:
    assert "is not TOML" in mistakes(tmp_path, "a = = 1")[0]
    with pytest.raises(SettingsWrong, match="cannot be read"):
        load_settings(tmp_path / "nowhere.toml", {})


def test_what_kubernetes_puts_beside_a_service_called_axon_is_no_mistake(tmp_path: Path) -> None:
    config = tmp_path / "axon.toml"
    config.write_text("")
    injected = {"AXON_PORT": "tcp://10.0.0.1:80", "AXON_SERVICE_HOST": "10.0.0.1"}
    assert load_settings(config, injected) == Settings()


def test_every_single_valued_setting_has_a_variable_that_sets_it(tmp_path: Path) -> None:
    config = tmp_path / "axon.toml"
    config.write_text("")
    for variable, dotted in variables_of().items():
        value: object = Settings()
        for name in dotted.split("."):
            value = getattr(value, name)
        assert load_settings(config, {variable: str(value)}) == Settings(), variable
