"""The SQL that adds to every sum of usage; shared by what meters turns and what corrects them."""

_KEYS = "org_id, credential_id, model, variant, currency"

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

_KEYS_WITHOUT_CREDENTIAL = "org_id, model, variant, currency"

_DAY = f"date '1970-01-01' + (accepted_us / {DAY_US})::int"
_MONTH = f"date_trunc('month', ({_DAY})::timestamp)::date"
_QUARTER = f"accepted_us / {QUARTER_US} * {QUARTER_US}"

DELTA_COLUMNS = f"user_id, accepted_us, {_KEYS}, 1 AS requests_count, " + ", ".join(SUMS[1:])
"""What a row of `deltas` holds of a turn; a correction has zeros but for its cost."""

CORRECTION_COLUMNS = (
    f"user_id, accepted_us, {_KEYS}, "
    + ", ".join(f"0 AS {name}" for name in SUMS[:-2])
    + ", cost_nano, overage_nano"
)


def _adding(table: str, period: str, of_period: str, of: str) -> str:
    """Return a part of a WITH: add `deltas` to one table. Rows are locked in one order by all."""
    keys = f"{of}, {period}"
    sums = ", ".join(f"sum({name})" for name in SUMS)
    grown = ", ".join(f"{name} = there.{name} + excluded.{name}" for name in SUMS)
    return f"""add_to_{table} AS (
    INSERT INTO metering.{table} AS there ({keys}, {", ".join(SUMS)})
    SELECT {of}, {of_period} AS {period}, {sums} FROM deltas
    GROUP BY {of}, {of_period} ORDER BY {of}, {of_period}
    ON CONFLICT ({keys}) DO UPDATE SET {grown}
)"""  # noqa: S608 - names of ours alone


ADD_TO_ROLLUPS = ", ".join(
    (
        _adding("usage", "date", _DAY, f"user_id, {_KEYS}"),
        _adding("usage_quarters", "begins_us", _QUARTER, f"user_id, {_KEYS}"),
        _adding("usage_months", "date", _MONTH, f"user_id, {_KEYS_WITHOUT_CREDENTIAL}"),
        _adding("org_usage", "date", _DAY, _KEYS),
        _adding("org_usage_quarters", "begins_us", _QUARTER, _KEYS),
        _adding("org_days", "date", _DAY, _KEYS_WITHOUT_CREDENTIAL),
    )
)
"""Parts of a WITH that has `deltas`."""
