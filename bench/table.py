"""The bench's results as text, each with its goal beside it."""

from bench.results import AppendRow, Results

APPEND_RATIO_GOAL = 10.0
CHAT_RATIO_GOAL, CHAT_RATIO_STRETCH = 0.15, 0.4
TURN_RATIO_GOAL, TURN_RATIO_STRETCH = 0.05, 0.15
ADDED_P50_MS_GOAL, ADDED_P99_MS_GOAL = 1.5, 6.0
_QUIET_LOAD = 0.5


def render(results: Results) -> str:
    """Return the tables, and a warning when the machine was not quiet."""
    lines = []
    if results.load_before > _QUIET_LOAD:
        lines.append(f"NOT QUIET: the load average was {results.load_before:.1f} at the start.")
    if not results.separate_cores:
        lines.append("ONE CORE: server and load shared it; the figures mean nothing.")
    if results.appends:
        lines += _appends(results.appends)
    if results.rates:
        lines += _rates(results)
    if results.latencies:
        lines += _latencies(results)
    return "\n".join(lines)


def _appends(rows: list[AppendRow]) -> list[str]:
    lines = ["", "(a) acknowledged appends of 2 KiB", ""]
    lines.append(f"{'':34}{'clients':>8}{'per s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>8}")
    names = {
        "fdatasync": "raw write + fdatasync",
        "postgres": "PostgreSQL, one commit a message",
        "journal": "journal",
    }
    for kind, name in names.items():
        of_kind = sorted((row for row in rows if row.kind == kind), key=lambda row: row.clients)
        lines += [
            f"{name:34}{row.clients:8}{row.rate_per_s:10,.0f}{row.p50_ms:9.2f}"
            f"{row.p99_ms:9.2f}{row.cpu_us:8.1f}"
            for row in of_kind
        ]
    lines.append("")
    by_key = {(row.kind, row.clients): row.rate_per_s for row in rows}
    for clients in sorted({row.clients for row in rows}):
        ratio = by_key["journal", clients] / by_key["postgres", clients]
        goal = f"  (goal at 64 clients: {APPEND_RATIO_GOAL:.0f})" if clients == 64 else ""
        lines.append(f"journal / PostgreSQL at {clients:3} clients: {ratio:6.1f}{goal}")
    return lines


def _rates(results: Results) -> list[str]:
    goals = {
        "chat": f"{CHAT_RATIO_GOAL} (stretch {CHAT_RATIO_STRETCH})",
        "durable turn": f"{TURN_RATIO_GOAL} (stretch {TURN_RATIO_STRETCH})",
    }
    lines = ["", "(b, c) requests a second, the server on one core, 64 connections", ""]
    lines.append(
        f"{'':24}{'through':8}{'per s':>9}{'CPU us':>8}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'/ nginx':>9}{'by CPU':>8}  goal"
    )
    for row in results.rates:
        goal = goals.get(row.case, "") if row.gateway == "axon" else ""
        lines.append(
            f"{row.case:24}{row.gateway:8}{row.rate_per_s:9,.0f}{row.cpu_us:8.0f}{row.p50_ms:9.2f}"
            f"{row.p99_ms:9.2f}{row.ratio_to_nginx:9.3f}{row.cpu_ratio_to_nginx:8.3f}"
            f"  {goal}"
        )
    return lines


def _latencies(results: Results) -> list[str]:
    lines = ["", "latency at 100 requests/s, durability included", ""]
    lines.append(
        f"{'':24}{'through':8}{'p50 ms':>9}{'p99 ms':>9}{'added p50':>11}{'added p99':>11}"
    )
    lines += [
        f"{row.case:24}{row.gateway:8}{row.p50_ms:9.2f}{row.p99_ms:9.2f}"
        f"{row.added_p50_ms:11.2f}{row.added_p99_ms:11.2f}"
        for row in results.latencies
    ]
    goal = f"added by Axon: p50 under {ADDED_P50_MS_GOAL}, p99 under {ADDED_P99_MS_GOAL}"
    return [*lines, "", f"goal: {goal}"]
