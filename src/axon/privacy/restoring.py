"""Puts hidden values back into an answer as it is told, a name split over two pieces included."""

import re
from collections.abc import Callable, Mapping

NAME_CHARS_MAX = 48
"""Longer than any name: what begins like one and is longer is none, and is held no more."""

_BEGINNING = re.compile(r"\[[A-Z0-9_]{0,46}$")


class Restorer:
    """Restores one text that comes in pieces."""

    def __init__(
        self, values: Mapping[str, str], written: Callable[[str], str] = lambda value: value
    ) -> None:
        """`values`: what each name stands for; `written` is how a value stands in this text."""
        self._values = values
        self._written = written
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what can be told now; what may be half a name waits for the rest of it."""
        text = self._held + piece
        begun = _BEGINNING.search(text) if "[" in text[-NAME_CHARS_MAX:] else None
        place = begun.start() if begun else len(text)
        self._held = text[place:]
        return self._restored(text[:place])

    def finish(self) -> str:
        """Return what was waiting."""
        text, self._held = self._held, ""
        return text

    def _restored(self, text: str) -> str:
        return _NAME.sub(self._value, text) if "[" in text else text

    def _value(self, name: re.Match[str]) -> str:
        value = self._values.get(name[0])
        return name[0] if value is None else self._written(value)


_NAME = re.compile(r"\[[A-Z0-9_]{1,46}\]")
