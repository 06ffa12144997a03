"""A vendor's document read whole: what becomes of each flag, and what cannot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from axon.app.flag_import import growthbook, unleash
from axon.app.flag_import.growthbook_conditions import holds_for
from axon.app.flag_import.made import OFF, ON, Made, Parent
from axon.app.flag_import.part import Part, Unkept
from axon.base import AxonError
from axon.flags import (
    RULE_MARK,
    DefinitionInvalid,
    JsonValue,
    Mistake,
    is_name,
    join_document,
    read_definitions,
)

Reader = Callable[[Part], tuple[dict[str, Callable[[], Made]], dict[str, JsonValue]]]


class FlagFileUnusable(AxonError):
    """The file is no document of flags of this vendor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vendor:
    read: Reader
    remarks: tuple[str, ...]
    """What holds for all flags."""


_VENDORS: Final = {
    "unleash": _Vendor(read=unleash.unleash_flags, remarks=unleash.REMARKS),
    "growthbook": _Vendor(read=growthbook.growthbook_flags, remarks=growthbook.REMARKS),
}
VENDORS: Final = tuple(_VENDORS)


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What a document becomes."""

    document: dict[str, JsonValue]
    """In flagd's format with our extensions: what could be kept."""
    notes: list[Mistake]
    """What will not be as it was, with its place in the vendor's document."""
    refused: list[Mistake]
    """What cannot be kept, one for each flag that is left out."""
    remarks: list[str]
    """What holds for all flags."""


def import_flags(vendor: str, content: bytes) -> Imported:
    """Return what becomes of a document of one of VENDORS; nothing is changed anywhere.

    A flag is kept with all it says, or left out and told of. Raises FlagFileUnusable.
    """
    try:
        document = Part("$", msgspec.json.decode(content))
        makers, rules = _VENDORS[vendor].read(document)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FlagFileUnusable(f"not JSON: {error}") from error
    except Unkept as unkept:
        raise FlagFileUnusable(f"{unkept.path}: {unkept.why}") from unkept
    if not makers:
        raise FlagFileUnusable("it has no features")
    made: dict[str, Made] = {}
    refused: list[Mistake] = []
    for key, make in makers.items():
        try:
            made[key] = make()
            _check(made[key], rules)
        except Unkept as unkept:
            made.pop(key, None)
            refused.append(Mistake(unkept.path, f'{unkept.why} (flag "{key}")'))
    refused += _require(made)
    flags: dict[str, JsonValue] = {key: one.definition() for key, one in made.items()}
    used = {name: rules[name] for one in made.values() for name in sorted(one.rules)}
    notes = {_of_flag(one, note): None for one in made.values() for note in one.notes}
    return Imported(
        document={"flags": flags, **({"$evaluators": used} if used else {})},
        notes=list(notes),
        refused=refused,
        remarks=list(_VENDORS[vendor].remarks),
    )


def _of_flag(made: Made, note: Mistake) -> Mistake:
    """Return the note with its flag's key; one about a segment is about all that are in it."""
    if not note.path.startswith(made.path):
        return note
    return Mistake(note.path, f'{note.message} (flag "{made.key}")')


def _check(made: Made, rules: Mapping[str, JsonValue]) -> None:
    """Raise Unkept for a flag that Axon would refuse by itself."""
    if not is_name(made.key):
        raise Unkept(made.path, "a key is up to 128 letters, digits and . _ : -")
    definitions: dict[str, JsonValue] = {made.key: made.definition()}
    definitions |= {f"{RULE_MARK}{name}": rules[name] for name in made.rules}
    encoded = {name: msgspec.json.encode(one) for name, one in definitions.items()}
    try:
        read_definitions(join_document(encoded))
    except DefinitionInvalid as error:
        raise Unkept(made.path, f"it would be refused: {error}") from error


def _require(made: dict[str, Made]) -> list[Mistake]:
    """Give flags what they require of others; take away, and return, those that cannot."""
    refused: list[Mistake] = []
    before = -1
    while len(refused) > before:
        before = len(refused)
        for key, one in list(made.items()):
            try:
                one.requires = _requires(one.parents, made)
            except Unkept as unkept:
                del made[key]
                refused.append(Mistake(unkept.path, f'{unkept.why} (flag "{key}")'))
    return refused


def _requires(parents: Sequence[Parent], made: Mapping[str, Made]) -> dict[str, tuple[str, ...]]:
    """Return what other flags must answer, by their keys; raises Unkept."""
    found: dict[str, tuple[str, ...]] = {}
    for parent in parents:
        names = _variants(parent, made)
        found[parent.key] = tuple(one for one in names if one in found.get(parent.key, names))
        if not found[parent.key]:
            raise Unkept(parent.path, f'what it requires of "{parent.key}" can never be')
    return found


def _variants(parent: Parent, made: Mapping[str, Made]) -> tuple[str, ...]:
    """Return what another flag must answer; raises Unkept."""
    other = made.get(parent.key)
    if other is None:
        raise Unkept(parent.path, f'it requires "{parent.key}", which is not imported')
    if parent.condition is not None:
        names = tuple(
            name for name, value in other.variants.items() if holds_for(parent.condition, value)
        )
    elif parent.variants is not None:
        names = parent.variants
    elif other.variants == {ON: True, OFF: False}:
        names = (ON,)
    else:  # it may be on without any
        raise Unkept(parent.path, f'it must say which variants of "{parent.key}" it requires')
    if not names or not set(names) <= other.variants.keys() or any("," in one for one in names):
        raise Unkept(parent.path, f'no variants of "{parent.key}" can be required')
    return names
