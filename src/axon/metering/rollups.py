"""The SQL that adds to every sum of usage; shared by what meters turns and what corrects them."""

SUMS = (
    "requests_count",
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nano",
    "overage_nano",
)

DAY_US = 86_400_000_000
QUARTER_US = 900_000_000
"""A quarter of an hour. Every time zone of today is a whole number of them from UTC."""

_DAY = f"date '1970-01-01' + (accepted_us / {DAY_US})::int"
_MONTH = f"date_trunc('month', ({_DAY})::timestamp)::date"
_QUARTER = f"accepted_us / {QUARTER_US} * {QUARTER_US}"

_BIGINTS = ("cost_nano", "overage_nano")
"""Columns of `deltas` with 64 bits. sum() makes a number of any length of them, which takes longer
and is put into 64 bits again; total() has those, and fails as that does when they are too few."""

_OF_ORG = "org_id, model, variant, currency"
_OF_KEY = f"credential_id, {_OF_ORG}"
_OF_PERSON = f"user_id, {_OF_KEY}"

_ROLLUPS = {
    "usage": ("date", _DAY, _OF_PERSON),
    "usage_quarters": ("begins_us", _QUARTER, _OF_PERSON),
    "usage_months": ("date", _MONTH, _OF_PERSON),
    "org_usage": ("date", _DAY, _OF_KEY),
    "org_usage_quarters": ("begins_us", _QUARTER, _OF_KEY),
    "org_usage_months": ("date", _MONTH, _OF_KEY),
    "org_days": ("date", _DAY, _OF_ORG),
    "org_quarters": ("begins_us", _QUARTER, _OF_ORG),
}
"""The tables of sums: how each names its period, the period of a turn, and what it tells apart. An
organization's months are few days, so they have no table."""

ROLLUPS = tuple(_ROLLUPS)
"""The tables of sums; every turn and every correction is in each of them."""

DELTA_COLUMNS = f"accepted_us, {_OF_PERSON}, 1 AS requests_count, " + ", ".join(SUMS[1:])
"""What a row of `deltas` holds of a turn; a correction has zeros but for its cost."""

CORRECTION_COLUMNS = (
    f"accepted_us, {_OF_PERSON}, "
    + ", ".join(f"0 AS {name}" for name in SUMS[:-2])
    + ", cost_nano, overage_nano"
)


def _adding(table: str, period: str, of_period: str, of: str) -> str:
    """Return a part of a WITH: add `deltas` to one table. Rows are locked in one order by all."""
    keys = f"{of}, {period}"
    sums = ", ".join(f"{'metering.total' if name in _BIGINTS else 'sum'}({name})" for name in SUMS)
    grown = ", ".join(f"{name} = there.{name} + excluded.{name}" for name in SUMS)
    return f"""add_to_{table} AS (
    INSERT INTO metering.{table} AS there ({keys}, {", ".join(SUMS)})
    SELECT {of}, {of_period} AS {period}, {sums} FROM deltas
    GROUP BY {of}, {of_period} ORDER BY {of}, {of_period}
    ON CONFLICT ({keys}) DO UPDATE SET {grown}
)"""  # noqa: S608 - names of ours alone


ADD_TO_ROLLUPS = ", ".join(_adding(table, *period) for table, period in _ROLLUPS.items())
"""Parts of a WITH that has `deltas`."""
