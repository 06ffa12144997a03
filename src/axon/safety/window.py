"""The rules over an answer that is still being said: a window that runs ahead of what is shown."""

from axon.safety.levels import Action
from axon.safety.rules import CUT, RULE_BYTES_MAX, RuleSet


class RulesWindow:
    """Holds back as much of a text as a rule may still find something in."""

    def __init__(self, rules: RuleSet, action: Action) -> None:
        """`action`: flag, redact or block."""
        self._rules = rules
        self._action = action
        self._held = b""
        self.categories: dict[str, None] = {}
        """What was found so far, each once."""
        self.blocked = False
        """Whether nothing more is shown."""

    def feed(self, piece: str) -> str:
        """Return what can be shown now."""
        return self._take(piece, RULE_BYTES_MAX if self._action != "flag" else 0)

    def finish(self) -> str:
        """Return what was held, once nothing more is said."""
        return self._take("", 0)

    def _take(self, piece: str, held_bytes: int) -> str:
        if self.blocked:
            return ""
        if self._action == "flag":
            return self._noted(piece)
        text = self._held + piece.encode("utf-8", "surrogatepass")
        hits = self._rules.find(text)
        shown, place = bytearray(), 0
        limit = max(0, len(text) - held_bytes)
        for hit in hits:
            if hit.end > limit and held_bytes and self._action == "redact":
                limit = min(limit, hit.start)  # the rest of it may be still to come
                break
            self.categories[hit.category] = None
            shown += text[place : hit.start]
            place = hit.end
            if self._action == "block":
                self.blocked, self._held = True, b""
                return shown.decode("utf-8", "replace")
            shown += CUT.encode()
        limit = _whole_character(text, max(place, limit))
        shown += text[place:limit]
        self._held = text[limit:]
        return shown.decode("utf-8", "surrogatepass")

    def _noted(self, piece: str) -> str:
        """Look at what was shown, with enough of what came before; hold nothing."""
        text = self._held + piece.encode("utf-8", "surrogatepass")
        for hit in self._rules.find(text):
            self.categories[hit.category] = None
        self._held = text[-RULE_BYTES_MAX:]
        return piece


def _whole_character(text: bytes, place: int) -> int:
    """Return the place or one before it where no UTF-8 character is cut in two."""
    while 0 < place < len(text) and text[place] & 0xC0 == 0x80:
        place -= 1
    return place
