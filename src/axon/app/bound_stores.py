"""Stores belong to one region: each says whose it is, and another region's process uses none.

A wrong address or a copied folder would else bring a region's data into another one. Keys need no
mark of their own: they are in the folder, and what one keyring has sealed no other opens.
"""

from dataclasses import replace

import msgspec

from axon.accounts import RegionDiffers, refusal_of_other_cells
from axon.app.folders import DataFolder
from axon.app.settings import Settings
from axon.stores import PostgresOptions, address_of_owner


def bind_folder(folder: DataFolder, region: str) -> None:
    """Make the data folder, with its journals and keys, its region's; may be repeated.

    Raises RegionDiffers when it is another's, and OSError.
    """
    try:
        owner = folder.region.read_text().strip()
    except FileNotFoundError:
        if region:
            folder.region.write_text(f"{region}\n")
        return
    if owner != region:
        wanted = f"residency.region is {region}" if region else "residency.region is not set"
        raise RegionDiffers(f"{folder.root} is of {owner}, and {wanted}")


def bound_database(options: PostgresOptions, region: str) -> PostgresOptions:
    """Return the options of a pool for which another region's database counts as away."""
    return replace(options, refusal=refusal_of_other_cells(region))


def bound_valkey(settings: Settings) -> Settings:
    """Return the settings with an address of Valkey under which another region's is refused."""
    region, valkey = settings.residency.region, settings.valkey
    if not region or not valkey.url:
        return settings
    url = address_of_owner(valkey.url, region)
    return msgspec.structs.replace(settings, valkey=msgspec.structs.replace(valkey, url=url))
