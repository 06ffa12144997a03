"""docs/settings.md, from the tree of settings."""

from typing import Annotated, get_args, get_origin

import msgspec

from axon.app.settings import Settings
from axon.app.settings.loading import FILE_NAME, OTHER_VARIABLES
from axon.app.settings.walk import is_named_table
from axon.app.settings.wanted import wanted

_HEAD = f"""# Settings

Made by `python -m axon.app.reference`; do not edit.

A setting is read from the variable, else from `{FILE_NAME}` (`$AXON_CONFIG`, else the current
folder), else the default holds. All mistakes are reported at once, and a name that is not a
setting is a mistake. `axon settings` shows what is in force.
"""


def settings_page() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD, *_section(Settings, "", "AXON"), "## Other variables\n"]
    parts.append("| variable | meaning |\n|---|---|")
    parts += [f"| `{name}` | {meaning} |" for name, meaning in sorted(OTHER_VARIABLES.items())]
    return "\n".join(parts) + "\n"


def _section(section: type[msgspec.Struct], name: str, variable: str) -> list[str]:
    """Return the lines of one section and, after them, those of the sections inside it."""
    title = f"## [{name}]" if name else "## At the top"
    lines = [f"{title}\n", f"{(section.__doc__ or '').strip()}\n"]
    lines.append("| setting | variable | takes | default | meaning |\n|---|---|---|---|---|")
    inner: list[str] = []
    for field in msgspec.structs.fields(section):
        path = f"{name}.{field.name}" if name else field.name
        if struct := _struct_in(field.type):
            key, of_variable = path, ""
            if is_named_table(field.type):
                key = f"{path}.NAME"
            elif field.name != "upstreams":
                of_variable = f"{variable}_{field.name.upper()}"
            inner += _section(struct, key, of_variable)
            continue
        lines.append(_row(field, f"{variable}_{field.name.upper()}" if variable else ""))
    return [*lines, "", *inner]


def _row(field: msgspec.structs.FieldInfo, variable: str) -> str:
    default = "" if field.required else f"`{msgspec.json.encode(_default(field)).decode()}`"
    shown = f"`{variable}`" if variable else ""
    kind = wanted(field.type).replace("|", "\\|")
    return f"| `{field.name}` | {shown} | {kind} | {default} | {_meaning(field.type)} |"


def _default(field: msgspec.structs.FieldInfo) -> object:
    """Return what holds where nothing is set."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _meaning(expected: object) -> str:
    notes = get_args(expected)[1:] if get_origin(expected) is Annotated else ()
    return " ".join(note.description or "" for note in notes if isinstance(note, msgspec.Meta))


def _struct_in(expected: object) -> type[msgspec.Struct] | None:
    """Return the struct a field is, or is a table or list of."""
    plain = get_args(expected)[0] if get_origin(expected) is Annotated else expected
    for candidate in (plain, *get_args(plain)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None
