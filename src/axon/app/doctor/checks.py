"""Every check, in the order of the report."""

from collections.abc import Awaitable, Callable

from axon.app.doctor.archive import check_archive
from axon.app.doctor.disk import check_disk, check_folder, check_keyring
from axon.app.doctor.finding import Examined, Finding
from axon.app.doctor.journals import check_journals, check_projection
from axon.app.doctor.modes import check_modes
from axon.app.doctor.network import check_models, check_serving, check_valkey
from axon.app.doctor.postgres import check_postgres
from axon.app.doctor.prices import check_model_prices
from axon.app.doctor.scheduler import check_scheduler

Check = Callable[[Examined], Awaitable[list[Finding]]]

CHECKS: tuple[Check, ...] = (
    check_folder,
    check_disk,
    check_keyring,
    check_serving,
    check_modes,
    check_postgres,
    check_valkey,
    check_models,
    check_model_prices,
    check_journals,
    check_projection,
    check_scheduler,
    check_archive,
)
