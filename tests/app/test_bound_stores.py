"""A store belongs to one region: another region's process uses none of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from axon.accounts import RegionDiffers, WrongCell
from axon.app.bound_stores import bind_folder, bound_database, bound_valkey
from axon.app.cli.main import axon
from axon.app.folders import DataFolder
from axon.app.settings import Settings, SettingsWrong, cells_of, load_settings
from axon.stores import Postgres, PostgresOptions, Valkey


def settings_of(region: str, **more: str) -> Settings:
    return load_settings(environment={"AXON_RESIDENCY_REGION": region, **more})


def test_a_data_folder_belongs_to_one_region_for_good(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    bind_folder(folder, "")
    bind_folder(folder, "eu")
    bind_folder(folder, "eu")
    for wrong in ("us", ""):
        with pytest.raises(RegionDiffers, match=r"is of eu, and residency\.region"):
            bind_folder(folder, wrong)
    variables = {"AXON_DATA": str(tmp_path), "AXON_RESIDENCY_REGION": "us"}
    for role in (("serve", "--role", "gateway"), ("serve", "--role", "projector"), ("up",)):
        ended = CliRunner().invoke(axon, role, env=variables)
        assert isinstance(ended.exception, RegionDiffers), "before anything of it is opened"
    (tmp_path / "lock").unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["region"]


async def test_a_valkey_belongs_to_one_region(valkey_url: str) -> None:
    async def connected(region: str) -> Valkey:
        bound = bound_valkey(settings_of(region, AXON_VALKEY_URL=valkey_url))
        valkey = Valkey(bound.valkey.url, timeout_ms=10_000)
        await valkey.start()
        return valkey

    eu, again, us = await connected("eu"), await connected("eu"), await connected("us")
    assert eu.available and again.available
    assert not us.available and "it belongs to eu, not to us" in us.health.reason
    await eu.call("FLUSHALL")
    late = await connected("us")
    assert late.available, "an emptied one is whose comes next"
    for one in (eu, again, us, late):
        await one.stop()


def test_without_a_region_the_address_of_valkey_stays_as_it_is() -> None:
    plain = load_settings(environment={"AXON_VALKEY_URL": "redis://host/1"})
    assert bound_valkey(plain) is plain
    bound = bound_valkey(settings_of("eu-west-1", AXON_VALKEY_URL="unix:///s?db=1"))
    assert bound.valkey.url == "unix:///s?db=1&owner=eu-west-1"


async def test_a_projector_and_a_scheduler_keep_off_another_regions_database(
    database: str,
) -> None:
    for region, available in (("eu", True), ("us", False), ("", False)):
        options = bound_database(PostgresOptions(schema_wanted=True), region)
        postgres = Postgres(database, options)
        await postgres.start()
        assert postgres.available is available
        await postgres.stop()


def test_the_settings_name_the_cells(tmp_path: Path) -> None:
    config = tmp_path / "axon.toml"
    config.write_text(
        '[residency]\nregion = "us"\n[residency.cells.eu]\nbase_url = "https://eu.example.com/v1"\n'
    )
    cells = cells_of(load_settings(config, {}).residency)
    assert (cells.region, dict(cells.base_urls)) == ("us", {"eu": "https://eu.example.com/v1"})
    with pytest.raises(WrongCell, match=r"eu is served at https://eu\.example\.com/v1"):
        cells.region_for("eu")
    config.write_text(
        '[residency]\nregion = "U S"\n[residency.cells.EU]\nbase_url = "https://eu.example.com"\n'
        '[residency.cells.jp]\nbase_url = "nowhere"\n[residency.cells.ap]\nbase_url = "https:///v"\n'
    )
    with pytest.raises(SettingsWrong) as caught:
        load_settings(config, {})
    assert [mistake.split(" ")[0] for mistake in caught.value.mistakes] == [
        "residency.region",
        "residency.cells.jp.base_url",
    ]
    config.write_text(
        '[residency.cells.EU]\nbase_url = "https://eu.example.com"\n'
        '[residency.cells.ap]\nbase_url = "https:///v"\n'
    )
    with pytest.raises(SettingsWrong) as caught:
        load_settings(config, {})
    assert [mistake.split(" ")[0] for mistake in caught.value.mistakes] == [
        "residency.cells.EU",
        "residency.cells.ap.base_url",
    ]


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("postgresql://axon:hush@host/axon\n")
    found = load_settings(environment={"AXON_DATABASE_URL_FILE": str(secret)})
    assert found.database.url == "postgresql://axon:hush@host/axon"
    secret.write_text("mysql://axon:hush@host/axon")
    for content in (b"mysql://axon:hush@host/axon", b"hush\nhush", b"", b"\xff\xfe"):
        secret.write_bytes(content)
        with pytest.raises(SettingsWrong) as caught:
            load_settings(environment={"AXON_DATABASE_URL_FILE": str(secret)})
        assert "hush" not in str(caught.value)
    with pytest.raises(SettingsWrong, match="AXON_STRIPE_KEY_FILE names /none/there, which cannot"):
        load_settings(environment={"AXON_STRIPE_KEY_FILE": "/none/there"})
    with pytest.raises(SettingsWrong, match="AXON_HTTP_PORT_FILE is not a setting"):
        load_settings(environment={"AXON_HTTP_PORT_FILE": str(secret)})
