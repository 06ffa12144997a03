"""What Hypothesis makes up: JSON of any kind, and logic that at least has the right shape."""

from typing import Any

from hypothesis import strategies as st

from axon.flags.logic import Compiler
from axon.flags.operators import OPERATORS
from axon.flags.values import EvaluationContext

NAMES = st.sampled_from(
    ("on", "off", "a", "tags", "n", "targetingKey", "region", "", "tags.0", "é")
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.integers(-3, 100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | NAMES
    | st.sampled_from(("1.2.3", "v1", "=", "^", "infinity", "1e400", "9" * 400, "-0"))
)

JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)

ARITY: dict[str, tuple[int, int | None]] = {
    **{name: (known.least, known.most) for name, known in OPERATORS.items()},
    **{name: (least, most) for name, (_, least, most) in Compiler._SPECIAL.items()},
}
VALUES_MORE_MAX = 3
COMPARED = st.sampled_from(("=", "!=", "<", "<=", ">", ">=", "^", "~", {"var": "a"}))
VERSIONS = st.sampled_from(("1.2.3", "v1", "2.0.0-rc.1", {"var": "a"}, {"var": "tags.0"}))
VARIABLES = st.fixed_dictionaries({"var": NAMES | st.tuples(NAMES, SCALARS).map(list)})


def _fractional(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    part = (
        st.tuples(NAMES | inner, st.integers(1, 5) | VARIABLES).map(list)
        | st.tuples(NAMES, st.integers(0, 5)).map(list)
        | VARIABLES
    )
    rest = st.lists(part, max_size=2).map(lambda found: [*found, ["on", 1]])
    keyed = st.tuples(inner, rest).map(lambda found: [found[0], *found[1]])
    return (rest | keyed).map(lambda values: {"fractional": values})


def operations(inner: st.SearchStrategy[Any], refer: bool = False) -> st.SearchStrategy[Any]:
    """Return operations that can be read, with anything inside them."""

    def of(name: str) -> st.SearchStrategy[Any]:
        least, most = ARITY[name]
        most = least + VALUES_MORE_MAX if most is None else most
        return st.lists(inner, min_size=least, max_size=most).map(lambda values: {name: values})

    plain = sorted(ARITY.keys() - {"$ref", "fractional", "sem_ver", "var"})
    choices = [
        *(of(name) for name in plain),
        *[VARIABLES] * 6,
        *[_fractional(inner)] * 4,
        st.tuples(VERSIONS, COMPARED, VERSIONS).map(lambda found: {"sem_ver": list(found)}),
    ]
    if refer:
        choices += [st.sampled_from(({"$ref": "one"}, {"$ref": "two"}))] * 4
    return st.one_of(choices)


_LEAVES = SCALARS | st.lists(SCALARS, max_size=3) | VARIABLES
RULES = st.recursive(_LEAVES, operations, max_leaves=6)
LOGIC = st.recursive(_LEAVES, lambda inner: operations(inner, refer=True), max_leaves=10)

METADATA = st.dictionaries(
    st.sampled_from(("axon.bucketing", "axon.unit", "axon.holdout", "axon.ramp", "owner")),
    st.sampled_from(("v2", "v3", "org", "x", "2026-01-01T00:00:00Z 10")),
    max_size=2,
)
"""Of which some cannot be."""


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Return documents that are right, but perhaps for their logic and metadata."""
    logic = draw(LOGIC)
    flag = {
        "state": draw(st.sampled_from(("ENABLED", "ENABLED", "DISABLED"))),
        "variants": {"on": True, "off": False, "true": True, "false": False},
        "defaultVariant": draw(st.sampled_from(("on", "off", None))),
        "targeting": logic if isinstance(logic, dict) else {"if": [logic, "on", "off"]},
        "metadata": draw(METADATA | st.just({})),
    }
    return {"flags": {"flag": flag}, "$evaluators": {"one": draw(RULES), "two": draw(RULES)}}


CONTEXTS = st.builds(
    EvaluationContext,
    now_us=st.integers(0, 2**52),
    targeting_key=st.sampled_from(("", "user-1", "é" * 30, "\ud800")),
    org=st.sampled_from(("", "org-1")),
    region=st.sampled_from(("", "eu")),
    claimed=st.dictionaries(NAMES, JSON, max_size=4),
)
