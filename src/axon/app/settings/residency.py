"""The settings of regions: which one this cell serves, and where the others are."""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from axon.accounts import REGION_FORM, Cells
from axon.app.settings.walk import Mistakes

_REGION = {"form": "a region like eu or eu-west-1"}


class CellSettings(Struct, frozen=True, kw_only=True):
    """One cell: an installation with stores and keys of its own."""

    base_url: Annotated[
        str,
        Meta(
            pattern=r"^https?://[!-~]+$",
            extra={"form": "an address like https://eu.example.com/v1"},
            description="Where its clients ask, as they configure it.",
        ),
    ]


class ResidencySettings(Struct, frozen=True, kw_only=True):
    """Where people's data may be."""

    region: Annotated[
        str,
        Meta(
            pattern=f"^({REGION_FORM})?$",
            extra=_REGION,
            description="The region of this cell: what belongs to another one is refused with "
            "421 and the right base URL. Its stores are of this region for good. Empty: regions "
            "are labels, and everybody is served.",
        ),
    ] = ""
    cells: Annotated[
        dict[str, CellSettings],
        Meta(description="The cells by their regions; every cell may have the same table."),
    ] = {}


def check_residency(residency: ResidencySettings, mistakes: Mistakes) -> None:
    """Find regions that are none, and addresses that are none."""
    for region, cell in residency.cells.items():
        if not re.fullmatch(REGION_FORM, region):
            mistakes.add(f"residency.cells.{region}", "must be a region like eu or eu-west-1")
        if not urlsplit(cell.base_url).hostname:
            mistakes.add(f"residency.cells.{region}.base_url", "names no host")


def cells_of(residency: ResidencySettings) -> Cells:
    """Return the cells of the settings."""
    urls: Mapping[str, str] = {name: cell.base_url for name, cell in residency.cells.items()}
    return Cells(region=residency.region, base_urls=urls)
