"""An invoice as one page of HTML that needs nothing else: to read, to print, to send."""

from html import escape
from zoneinfo import ZoneInfo

from axon.base import utc_from_us
from axon.billing.invoice import CORRECTION, OVERAGE, Invoice, Line
from axon.billing.money import minor_text, nano_text
from axon.billing.months import month_named
from axon.billing.statement_csv import position_text

_KINDS = {
    "input": "Input tokens",
    "cached": "Cached input tokens",
    "cache_write": "Input tokens written to the cache",
    "output": "Output tokens",
    "reasoning": "Reasoning tokens",
    "request": "Requests",
    OVERAGE: "Requests beyond a limit",
    CORRECTION: "Corrected charges",
}

_STYLE = """
:root { --ink: #16202c; --soft: #5c6875; --line: #e3e7ec; --paper: #fff; --tint: #f4f6f9;
  --accent: #1d5fd0; --void: #b3261e }
* { box-sizing: border-box }
body { margin: 0; background: var(--tint); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif }
main { max-width: 880px; margin: 40px auto; padding: 56px 60px; background: var(--paper);
  border-radius: 14px; box-shadow: 0 1px 2px #0001, 0 12px 40px #16202c14 }
header { display: flex; justify-content: space-between; gap: 32px; align-items: flex-start }
h1 { margin: 0; font-size: 30px; letter-spacing: -.02em }
h2 { margin: 40px 0 6px; font-size: 17px }
h2 small, .soft { color: var(--soft); font-weight: 400 }
.issuer { font-weight: 600; text-align: right }
.state { display: inline-block; margin-left: 10px; padding: 2px 10px; border-radius: 99px;
  font-size: 12px; font-weight: 600; vertical-align: middle; background: #e3edff;
  color: var(--accent); text-transform: uppercase; letter-spacing: .04em }
.state.void { background: #fde7e5; color: var(--void) }
dl { display: grid; grid-template-columns: 1.3fr 1fr 1.3fr .8fr; gap: 4px 24px; margin: 28px 0 0 }
dt { grid-row: 1; color: var(--soft); font-size: 13px }
dd { grid-row: 2; margin: 0; font-weight: 500; overflow-wrap: anywhere }
.due { margin: 32px 0 0; padding: 22px 26px; border-radius: 12px; background: var(--tint);
  display: flex; justify-content: space-between; align-items: baseline }
.due b { font-size: 30px; letter-spacing: -.02em; font-variant-numeric: tabular-nums }
.bar { display: flex; height: 8px; margin-top: 18px; border-radius: 99px; overflow: hidden;
  background: var(--line); gap: 2px }
.bar i { display: block; background: var(--accent) }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th { text-align: left; color: var(--soft); font-size: 12.5px; font-weight: 500 }
th, td { padding: 7px 0; border-bottom: 1px solid var(--line); vertical-align: top }
th + th, td + td { text-align: right; padding-left: 18px; white-space: nowrap }
section table { table-layout: fixed } section th:nth-child(1) { width: 34% }
section th:nth-child(3) { width: 28% } .pad { visibility: hidden } .day { white-space: nowrap }
tr:last-child td { border-bottom: 0 }
td small { display: block; color: var(--soft) }
.sum { margin-top: 28px; border-top: 2px solid var(--ink) }
.sum td { border: 0; padding: 5px 0 } .sum tr:first-child td { padding-top: 14px }
.sum .total td { font-size: 18px; font-weight: 650 }
details { margin-top: 36px; color: var(--soft); font-size: 13px }
summary { cursor: pointer; color: var(--ink); font-weight: 500 }
code { font: 12px/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere }
@media (max-width: 720px) { main { margin: 0; padding: 28px 20px; border-radius: 0 }
  dl { grid-template-columns: 1fr 1fr } dt, dd { grid-row: auto } dl div { display: contents } }
@media print { body { background: none } main { margin: 0; padding: 0; box-shadow: none;
  max-width: none } details { display: none } h2 { break-after: avoid } tr { break-inside: avoid } }
"""


def html_statement(invoice: Invoice, issuer: str) -> str:
    """Return the page; whatever clients or operators named is text in it."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(invoice.name)} · {escape(invoice.org_name)} · {escape(invoice.month)}</title>
<style>{_STYLE}</style></head>
<body><main>
{_head(invoice, issuer)}
{_due(invoice)}
{"".join(_section(invoice, title, lines) for title, lines in _sections(invoice))}
{_sums(invoice)}
{_proof(invoice)}
</main></body></html>
"""


def _head(invoice: Invoice, issuer: str) -> str:
    title = "Invoice" if invoice.number is not None else "Statement"
    number = f" {invoice.name}" if invoice.number is not None else ""
    zone = ZoneInfo(invoice.time_zone)
    first, last = _day(invoice.starts_us, zone), _day(invoice.ends_us - 1, zone)
    issued = _day(invoice.final_us, zone) if invoice.final_us else "not issued yet"
    return f"""<header><h1>{title}{number}<span class="state {invoice.state}">{invoice.state}</span>
</h1><div class="issuer">{escape(issuer)}</div></header>
<dl><dt>Billed to</dt><dd>{escape(invoice.org_name)}<br><span class="soft">
<code>{escape(invoice.org_id)}</code></span></dd>
<dt>Month</dt><dd>{_month(invoice.month)}</dd>
<dt>Days</dt><dd class="day">{first} to {last}<br>
<span class="soft">{escape(invoice.time_zone)}</span></dd>
<dt>Issued</dt><dd>{issued}</dd></dl>"""


def _due(invoice: Invoice) -> str:
    word = {"final": "To pay", "void": "Void: nothing to pay"}.get(invoice.state, "So far")
    reason = f"<br>{escape(invoice.void_reason)}" if invoice.void_reason else ""
    return f"""<div class="due"><span>{word}<span class="soft">{reason}</span></span>
<b>{minor_text(invoice.owed_minor, invoice.currency)} {invoice.currency}</b></div>
{_bar(invoice)}"""


def _bar(invoice: Invoice) -> str:
    """Return a bar of each model's part of the amount, the largest first."""
    models: dict[str, int] = {}
    for line in invoice.lines:
        models[line.model] = models.get(line.model, 0) + line.amount_nano
    parts = sorted(((cost, name) for name, cost in models.items() if cost > 0), reverse=True)
    if len(parts) < 2:
        return ""
    total = sum(cost for cost, _ in parts)
    pieces = "".join(
        f'<i style="flex:{cost * 1000 // total + 1};opacity:{max(0.25, 1 - 0.22 * place):.2f}"'
        f' title="{escape(name)}: {cost * 100 // total}%"></i>'
        for place, (cost, name) in enumerate(parts)
    )
    return f'<div class="bar">{pieces}</div>'


def _sections(invoice: Invoice) -> list[tuple[str, list[Line]]]:
    """Return the lines by what their table is called: models, then what belongs to other months."""
    found: dict[str, list[Line]] = {}
    for line in invoice.lines:
        title = f"{escape(line.model)}"
        if line.origin == "late":
            title += f" <small>used in {_month(line.month)}, came in later</small>"
        elif line.origin == "correction":
            title += f" <small>charges of {_month(line.month)}, corrected</small>"
        found.setdefault(title, []).append(line)
    return list(found.items())


def _section(invoice: Invoice, title: str, lines: list[Line]) -> str:
    rows = "".join(
        f"<tr><td>{_KINDS[line.kind]}{_tier(line)}</td><td>{line.quantity:,}</td>"
        f"<td>{_rate(line)}</td><td>{_amount(invoice, line)}</td></tr>"
        for line in lines
    )
    return f"""<section><h2>{title}</h2><table><tr><th>What</th><th>Quantity</th><th>Price</th>
<th>{invoice.currency}</th></tr>{rows}</table></section>"""


def _amount(invoice: Invoice, line: Line) -> str:
    """Return an amount, with as many places unseen as bring its point under those of the others."""
    texts = [nano_text(one.amount_nano) for one in invoice.lines]
    places = max(len(text.partition(".")[2]) for text in texts)
    text = nano_text(line.amount_nano)
    missing = places - len(text.partition(".")[2])
    return f'{text}<span class="pad">{"0" * missing}</span>' if missing else text


def _tier(line: Line) -> str:
    return f"<small>long inputs, tier {line.tier}</small>" if line.tier else ""


def _rate(line: Line) -> str:
    if line.rate_nano is None:
        return ""
    unit = "each" if line.kind == "request" else "for a million"
    return f'{nano_text(line.rate_nano)} <span class="soft">{unit}</span>'


def _sums(invoice: Invoice) -> str:
    currency = invoice.currency
    total = minor_text(invoice.total_minor, currency)
    rows = [
        f"<tr><td>Exact sum</td><td>{nano_text(invoice.amount_nano)}</td></tr>",
        f"<tr><td>Total, rounded once</td><td>{total}</td></tr>",
    ]
    rows += [
        f"<tr><td>{note.name} <span class=soft>{escape(note.reason)}</span></td>"
        f"<td>{minor_text(-note.amount_minor, currency)}</td></tr>"
        for note in invoice.credit_notes
    ]
    owed = minor_text(invoice.owed_minor, currency)
    rows.append(f'<tr class="total"><td>To pay</td><td>{owed} {currency}</td></tr>')
    return f'<table class="sum">{"".join(rows)}</table>'


def _proof(invoice: Invoice) -> str:
    rows = "".join(
        f"<tr><td>{line.line}. {escape(line.model)}, {_KINDS[line.kind].lower()}</td>"
        f"<td><code>{'<br>'.join(escape(position_text(place)) for place in line.positions)}</code>"
        "</td></tr>"
        for line in invoice.lines
    )
    return f"""<details><summary>Where each line comes from</summary>
<p>Each turn was charged when it ended, rounded to a billionth of the currency, and that charge is
in the record that ended it. A line sums turns; below is in which journal their records are, from
the first sequence to the last, and how many. Cached and cache-write tokens are not counted as input
a second time, nor reasoning tokens as output. Only the total is rounded, a half away from zero.</p>
<table>{rows}</table></details>"""


def _day(at_us: int, zone: ZoneInfo) -> str:
    return f"{utc_from_us(at_us).astimezone(zone):%Y-%m-%d}"


def _month(text: str) -> str:
    month = month_named(text)
    names = (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    )  # fmt: skip
    return f"{names[month.month - 1]} {month.year}"
