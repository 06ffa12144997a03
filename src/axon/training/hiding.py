"""Hiding personal data and secrets in an example, wherever in it they stand."""

from collections import Counter
from typing import Any

import msgspec

from axon.privacy import Redactor
from axon.training.formats import Example

DEPTH_MAX = 32
"""What lies deeper is hidden as one text."""


class ExampleRedactor:
    """Hides values in examples and counts them, by kind."""

    def __init__(self, redactor: Redactor) -> None:
        """`redactor` knows the organization's own patterns too."""
        self._redactor = redactor
        self.hidden: Counter[str] = Counter()

    def redact(self, example: Example) -> Example:
        """Return the example without what nobody may learn."""
        return {name: self._value(name, value, 0) for name, value in example.items()}

    def _value(self, name: str, value: Any, depth: int) -> Any:
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, str):
            return self._text(name, value, depth)
        if isinstance(value, int | float):
            text = str(value)
            told = self._told(name, text)
            return value if told == text else told
        if depth >= DEPTH_MAX:
            return self._plain(msgspec.json.encode(value).decode())
        if isinstance(value, list):
            return [self._value(name, one, depth + 1) for one in value]
        return {self._plain(key): self._value(key, one, depth + 1) for key, one in value.items()}

    def _text(self, name: str, text: str, depth: int) -> str:
        """Return a text redacted; one that is JSON, as the arguments of a call, value by value."""
        if depth < DEPTH_MAX and text[:1] in ("{", "["):
            try:
                read = msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError):
                return self._told(name, text)
            done = self._value(name, read, depth + 1)
            return text if done == read else msgspec.json.encode(done).decode()
        return self._told(name, text)

    def _told(self, name: str, text: str) -> str:
        """Return a value redacted as what it is named: a number is a telephone's by its name."""
        before = f"{name}: "
        told = self._plain(before + text)
        return told.removeprefix(before) if told.startswith(before) else self._plain(text)

    def _plain(self, text: str) -> str:
        done = self._redactor.redact(text)
        self.hidden.update(done.counts)
        return done.text
