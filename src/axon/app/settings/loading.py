"""Reads axon.toml and the AXON_* variables into Settings, or names every mistake at once."""

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import msgspec

from axon.app.settings.archive import check_archive
from axon.app.settings.metering import check_metering
from axon.app.settings.privacy import check_privacy
from axon.app.settings.residency import check_residency
from axon.app.settings.safety import check_safety
from axon.app.settings.tree import JournalSettings, Settings
from axon.app.settings.walk import SECRET_FIELDS, Mistakes, is_named_table, read
from axon.base import KIB, AxonError

FILE_NAME = "axon.toml"

OTHER_VARIABLES = {
    "AXON_CONFIG": "The settings file to read instead of `./axon.toml`.",
    "AXON_PG_BINDIR": "The folder of the PostgreSQL programs `axon up` should run.",
    "AXON_BASE_URL": "The address `axon chat` uses.",
    "AXON_API_KEY": "The key `axon chat` uses.",
    "AXON_VALKEY_BIN": "The `valkey-server` program `axon up` should run.",
}
"""Variables that are no setting of a running process."""

IN_A_FILE = "_FILE"
"""Behind the variable of a secret: its value is a file that holds the secret, as orchestrators
mount them."""

_SECRET_CHARACTERS_MAX = 64 * KIB

_FROM_KUBERNETES = ("AXON_SERVICE_", "AXON_PORT")
"""Kubernetes puts these into every container beside a service that is called "axon"."""


class SettingsWrong(AxonError):
    """The settings have mistakes."""

    def __init__(self, mistakes: list[str]) -> None:
        """`mistakes` holds one sentence each, naming the setting."""
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def load_settings(
    config: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings: defaults, then the file, then the variables; raises SettingsWrong.

    The file is `config`, else $AXON_CONFIG, else ./axon.toml where there is one. Reads the disk
    once. `environment` stands for the process's own.
    """
    variables = os.environ if environment is None else environment
    mistakes = Mistakes()
    raw = _from_file(config, variables, mistakes)
    for name, text in sorted(variables.items()):
        _put(raw, name, text, mistakes)
    settings = read(Settings, raw, "", mistakes)
    if settings is not None:
        _compare(settings.journal, mistakes)
        check_archive(settings.archive, mistakes)
        check_metering(settings.metering, mistakes)
        check_privacy(settings.privacy, mistakes)
        check_safety(settings.safety, mistakes)
        check_residency(settings.residency, mistakes)
        if bool(settings.http.tls_cert) != bool(settings.http.tls_key):
            mistakes.add("http.tls_cert", "and http.tls_key go together")
        try:
            settings.alerts.networks()
        except ValueError as error:
            mistakes.add("alerts.allowed_networks", str(error))
    if mistakes.found or settings is None:
        raise SettingsWrong(mistakes.found)
    return settings


def _compare(journal: JournalSettings, mistakes: Mistakes) -> None:
    """Find settings that are right one by one and contradict each other."""
    entry = journal.entry_bytes_max
    if journal.segment_bytes < entry + KIB:
        mistakes.add("journal.segment_bytes", "must be a KiB more than journal.entry_bytes_max")
    if journal.queue_bytes_max < 2 * entry:
        mistakes.add("journal.queue_bytes_max", "must be twice journal.entry_bytes_max")


def variables_of(section: type[msgspec.Struct] = Settings, prefix: str = "AXON") -> dict[str, str]:
    """Return the variable of every single-valued setting, with its dotted name."""
    names: dict[str, str] = {}
    for field in msgspec.structs.fields(section):
        variable = f"{prefix}_{field.name.upper()}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            inner = variables_of(field.type, variable)
            names |= {key: f"{field.name}.{path}" for key, path in inner.items()}
        elif not is_named_table(field.type):
            names[variable] = field.name
    return names


_VARIABLES = variables_of()


def _from_file(
    config: Path | None, variables: Mapping[str, str], mistakes: Mistakes
) -> dict[str, object]:
    asked = config or (Path(variables["AXON_CONFIG"]) if "AXON_CONFIG" in variables else None)
    path = asked or Path(FILE_NAME)
    if asked is None and not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        mistakes.add(str(path), f"cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:  # tomllib lets out more than its own error
        mistakes.add(str(path), f"is not TOML: {error}")
    return {}


def _put(raw: dict[str, object], name: str, text: str, mistakes: Mistakes) -> None:
    """Put the value of one variable at its place in the tree."""
    if not name.startswith("AXON_") or name in OTHER_VARIABLES:
        return
    dotted = _VARIABLES.get(name)
    if dotted is None and _is_secret(name.removesuffix(IN_A_FILE)):
        name = name.removesuffix(IN_A_FILE)
        dotted, text = _VARIABLES[name], _from_secret_file(name, text, mistakes)
    if dotted is None:
        if not name.startswith(_FROM_KUBERNETES):
            close = get_close_matches(name, [*_VARIABLES, *OTHER_VARIABLES], n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            mistakes.add(name, f"is not a setting{hint}")
        return
    *sections, leaf = dotted.split(".")
    place = raw
    for section in sections:
        inner = place.setdefault(section, {})
        if not isinstance(inner, dict):
            return  # the file has a value where a section belongs: already a mistake
        place = inner
    place[leaf] = text


def _is_secret(name: str) -> bool:
    return _VARIABLES.get(name, "").rpartition(".")[2] in SECRET_FIELDS


def _from_secret_file(name: str, path: str, mistakes: Mistakes) -> str:
    """Return the one line of a file; the mistake names the file and nothing that is in it."""
    try:
        with Path(path).open() as file:
            text = file.read(_SECRET_CHARACTERS_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        mistakes.add(name + IN_A_FILE, f"names {path}, which cannot be read: {reason}")
        return ""
    if not text or "\n" in text:
        mistakes.add(name + IN_A_FILE, f"names {path}, which must hold one line")
        return ""
    return text
