"""Made-up flags and users: every operator, in every place it can stand, from one seed."""

import random
from collections.abc import Callable
from typing import Any

from axon.flags import EvaluationContext

NOW_S = 1_764_547_200
VARIANTS: dict[str, dict[str, Any]] = {
    "string": {"red": "#f00", "green": "#0f0", "blue": "#00f", "true": "yes", "false": "no"},
    "boolean": {"on": True, "off": False, "true": True, "false": False},
    "number": {"one": 1, "half": 0.5, "none": 0, "true": 7, "false": -7},
    "object": {"a": {"model": "small"}, "b": {"model": "large"}, "true": {}, "false": {"x": [1]}},
}
PATHS = (
    "targetingKey", "region", "tier", "plan", "age", "score", "beta", "tags", "tags.0", "tags.1",
    "tags.length", "version", "email", "company.size", "company.id", "company.names.0", "nothing",
    "text", "text.2", "company", "$flagd.flagKey", "$flagd.timestamp",
)  # fmt: skip
ITEM_PATHS = ("", "length", "0", "id", "size", "name")
TEXTS = ("", "eu", "pro", "free", "1", "12", "1.5", "a", "ab", "é", "日本", "true", " 7 ", "x-y_z")
VERSIONS = ("1.0.0", "v1.2", "2", "1.2.3-beta.2", "1.2.3-beta.11", "1.2.3+build", "3.0.0-rc.1")
REGIONS = ("eu-1", "eu-2", "us-1", "ap-1", "")
SHARED_RULES = 6


class Corpus:
    """Flags of one seed. Their rules are drawn so that most of them depend on the user."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.used: set[str] = set()
        """Every operator that was drawn."""
        self._names: list[str] = []
        self._rules: list[str] = []
        self._item = False
        self._texts: tuple[str, ...] = TEXTS

    def document(self, flags: int, bucketing: str) -> dict[str, Any]:
        """Return a document with so many flags, all with splits of one bucketing."""
        self._rules = [f"rule-{index}" for index in range(SHARED_RULES)]
        shared = {}
        self._texts = tuple(filter(str.isascii, TEXTS))  # flagd breaks at any escape in them
        for index, name in enumerate(self._rules):
            later = self._rules
            self._rules = later[later.index(name) + 1 :]  # flagd reads them in this order only
            shared[name] = self.condition(2 + index % 2)
            self._rules = later
        self._texts = TEXTS
        made = {f"flag-{index}": self.flag(index, bucketing) for index in range(flags)}
        return {"flags": made, "$evaluators": shared}

    def flag(self, index: int, bucketing: str) -> dict[str, Any]:
        kind = ("string", "boolean", "number", "object")[index % 4]
        self._names = list(VARIANTS[kind])
        flag: dict[str, Any] = {
            "state": "DISABLED" if index % 50 == 49 else "ENABLED",
            "variants": VARIANTS[kind],
            "defaultVariant": None if index % 10 == 9 else self.draw.choice(self._names),
            "metadata": {"axon.bucketing": bucketing},
        }
        if index % 25:  # the others are static
            flag["targeting"] = self.targeting(index)
        return flag

    def targeting(self, index: int) -> dict[str, Any]:
        if index % 3 == 0:
            return self.split(2)
        result: dict[str, Any] = self.op(
            "if", [self.condition(3), self.variant(2), self.variant(2), self.variant(1)][:3]
        )
        if index % 7 == 0:
            result = self.op("if", [self.condition(2), result, self.condition(2), self.variant(1)])
        return result

    def op(self, name: str, values: Any) -> dict[str, Any]:
        self.used.add(name)
        return {name: values}

    def one_of(self, *makers: Callable[[], Any]) -> Any:
        return self.draw.choice(makers)()

    def variant(self, depth: int) -> Any:
        """Return what names a variant, or null, or now and then nothing there is."""
        name = self.draw.choice(self._names)
        if depth == 0:
            return self.draw.choice((name, name, name, None))
        return self.one_of(
            lambda: name,
            lambda: self.split(depth - 1),
            lambda: self.split(depth - 1),
            lambda: self.op("cat", [name[:1], name[1:]]),
            lambda: self.op("substr", [f"--{name}", 2]),
            lambda: self.op("and", [self.condition(depth - 1), name]),
            lambda: self.op("or", [self.op("var", "nothing"), name]),
            lambda: self.op("?:", [self.condition(1), name, self.variant(depth - 1)]),
            lambda: self.op("var", ["nothing", name]),
            lambda: self.op("var", "plan"),
            lambda: self.compared(1),
        )

    def split(self, depth: int) -> dict[str, Any]:
        """Return a fractional in one of its forms."""
        parts: list[Any] = []
        for name in self.draw.sample(self._names, self.draw.randint(1, 4)):
            variant = self.split(depth - 1) if depth and self.draw.random() < 0.15 else name
            weight = self.draw.choice((1, 10, 50, 333, 10**6))
            forms = ([variant, weight], [variant, weight], [variant], [variant, self.weight()])
            parts.append(self.draw.choice(forms))
        key = self.one_of(
            list,
            list,
            lambda: [self.op("var", "email")],
            lambda: [self.op("var", "company.id")],
            lambda: [self.op("cat", [self.op("var", "$flagd.flagKey"), self.op("var", "email")])],
            lambda: [self.op("var", self.draw.choice(("age", "score", "beta", "company", "tags")))],
            lambda: [self.op("var", ["nothing", "fallback"])],
        )
        if not self._item and all(len(part) == 1 or part[1] == 0 for part in parts):
            parts.append([self._names[0], 3])
        return self.op("fractional", [*key, *parts])

    def weight(self) -> Any:
        """Return a weight that is worked out, sometimes below nothing or no integer."""
        return self.one_of(
            lambda: self.op("var", "company.size"),
            lambda: self.op("-", [self.op("var", "$flagd.timestamp"), NOW_S - 40]),
            lambda: self.op("-", [20, self.op("var", "age")]),
            lambda: self.op("if", [self.condition(1), 0, 100]),
        )

    def condition(self, depth: int) -> Any:
        if depth == 0:
            return self.value()
        return self.one_of(
            lambda: self.compared(depth),
            lambda: self.compared(depth),
            lambda: self.op("in", [self.value(), list(self.draw.sample(REGIONS + self._texts, 5))]),
            lambda: self.op("in", [self.text(depth - 1), self.text(depth - 1)]),
            lambda: self.op("in", [self.value(), self.items(depth - 1)]),
            lambda: self.op("and", [self.condition(depth - 1), self.condition(depth - 1)]),
            lambda: self.op("or", [self.condition(depth - 1), self.condition(depth - 1)]),
            lambda: self.op(self.draw.choice(("!", "!!")), [self.condition(depth - 1)]),
            lambda: self.op("!", self.value()),
            lambda: self.op("starts_with", [self.text(0), self.draw.choice(("e", "us", "a"))]),
            lambda: self.op("ends_with", [self.text(0), self.draw.choice(("1", "@x.org", "a"))]),
            self.versions,
            self.versions,
            lambda: self.asked(("all", "some", "none"), depth),
            lambda: self.op("missing", [self.draw.choice(PATHS[:17]), "plan"]),
            lambda: self.op("missing", self.op("merge", ["plan", ["age", "email"]])),
            lambda: self.op("missing_some", [self.draw.randint(1, 3), ["plan", "age", "nothing"]]),
            self.shared,
            self.shared,
        )

    def shared(self) -> Any:
        return self.op("$ref", self.draw.choice(self._rules)) if self._rules else self.compared(1)

    def versions(self) -> Any:
        compare = self.draw.choice(("=", "!=", "<", "<=", ">", ">=", "~", "^"))
        return self.op("sem_ver", [self.op("var", "version"), compare, self.draw.choice(VERSIONS)])

    def compared(self, depth: int) -> Any:
        name = self.draw.choice(("==", "!=", "===", "!==", "<", "<=", ">", ">="))
        values = [self.any(depth - 1), self.any(depth - 1)]
        if name in ("<", "<=", ">", ">=") and self.draw.random() < 0.3:
            values.append(self.any(depth - 1))
        return self.op(name, values)

    def any(self, depth: int) -> Any:
        if depth <= 0:
            return self.value()
        return self.one_of(
            self.value,
            lambda: self.number(depth),
            lambda: self.number(depth),
            lambda: self.text(depth),
            lambda: self.items(depth),
            lambda: self.condition(depth - 1),
        )

    def value(self) -> Any:
        return self.one_of(
            self.variable,
            self.variable,
            self.variable,
            lambda: self.draw.choice(self._texts),
            lambda: self.draw.choice((0, 1, -1, 12, 1.5, 18, 40, 0.1)),
            lambda: self.draw.choice((True, False, None)),
        )

    def variable(self) -> Any:
        if self._item:
            path: Any = self.draw.choice(ITEM_PATHS)
        else:
            path = self.draw.choice(PATHS)
        if self.draw.random() < 0.2:
            path = [path, self.draw.choice((*self._texts, 3, None))]
        return self.op("var", path)

    def number(self, depth: int) -> Any:
        inner = depth - 1
        return self.one_of(
            lambda: self.op(self.draw.choice(("+", "*", "min", "max")), self.several(inner)),
            lambda: self.op("-", [self.any(inner), self.any(inner)]),
            lambda: self.op("-", [self.any(inner)]),
            lambda: self.op(self.draw.choice(("/", "%")), [self.any(inner), self.any(inner)]),
            lambda: self.op("reduce", [self.items(inner), self.summed(), 0]),
        )

    def summed(self) -> Any:
        return self.op("+", [self.op("var", "accumulator"), self.op("var", "current")])

    def several(self, depth: int) -> list[Any]:
        return [self.any(depth) for _ in range(self.draw.randint(1, 3))]

    def text(self, depth: int) -> Any:
        if depth <= 0:
            return self.one_of(
                lambda: self.draw.choice(self._texts),
                lambda: self.op("var", self.draw.choice(("region", "email", "text", "plan"))),
            )
        return self.one_of(
            lambda: self.op("cat", self.several(depth - 1)),
            lambda: self.op("substr", [self.text(depth - 1), self.draw.randint(-4, 4)]),
            lambda: self.op("substr", [self.text(0), self.value(), self.draw.randint(-3, 3)]),
        )

    def items(self, depth: int) -> Any:
        if depth <= 0:
            return self.one_of(
                lambda: self.op("var", "tags"),
                lambda: self.op("var", "company.names"),
                lambda: list(self.draw.sample(self._texts, 3)),
            )
        return self.one_of(
            lambda: self.op("merge", [self.items(depth - 1), self.value()]),
            lambda: [self.value(), self.value()],
            lambda: self.asked(("map", "filter"), depth),
        )

    def asked(self, names: tuple[str, ...], depth: int) -> Any:
        items = self.items(depth - 1)
        before, self._item = self._item, True
        rules, self._rules = self._rules, []
        inner = self.condition(max(depth - 1, 1))
        self._item, self._rules = before, rules
        return self.op(self.draw.choice(names), [items, inner])


def user(index: int) -> EvaluationContext:
    """Return the context of one of the users; each is the same every time."""
    draw = random.Random(index)
    claimed: dict[str, Any] = {
        "plan": draw.choice(("free", "pro", "red", "on", "a", "nothing")),
        "age": draw.choice((12, 18, 40, 40.0, "40", None)),
        "score": draw.choice((0.1, 1.5, 99.9, 2.0**70, -3.25, "7")),
        "beta": draw.choice((True, False)),
        "tags": draw.choice(([], ["a"], ["b", "ab", "é"], [1, 2.5, True], [{"id": 1, "size": 3}])),
        "version": draw.choice((*VERSIONS, "0.9", "nonsense", 2, 1.2, None)),
        "email": f"user{index}@{draw.choice(('x.org', 'y.com'))}",
        "company": {
            "size": draw.randint(0, 200),
            "id": draw.choice((f"c-{index % 97}", index % 97, None)),
            "names": draw.choice(([], ["Ä", "b"], ["0", "1", "2"])),
        },
        "text": draw.choice(TEXTS),
    }
    for name in draw.sample(list(claimed), draw.randint(0, 2)):
        del claimed[name]
    return EvaluationContext(
        now_us=NOW_S * 1_000_000,
        targeting_key=draw.choice((f"user-{index}", f"ü-{index}", f"{index}" * 9))
        if index % 40
        else "",
        region=draw.choice(REGIONS),
        tier=draw.choice(("free", "pro", "")),
        claimed=claimed,
    )
