"""What an organization was billed: its invoices, each with its lines, as JSON, CSV or a page."""

from collections.abc import Mapping

from axon.billing import ISSUED, Invoice, csv_statement, html_statement, invoice_shown
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.problem import refuse
from axon.gateway.safe_headers import PAGE

FORMATS: Mapping[str, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "html": "text/html",
}


async def list_invoices(door: Door, call: Call) -> None:
    """Answer with the organization's issued invoices without lines, the newest month first."""
    month = call.query().get("month")
    found = await door.invoices.list_all(call.caller.org_id, month, ISSUED)
    data = [invoice_shown(one, whole=False) for one in found]
    await call.reply_value({"object": "list", "data": data})


async def get_invoice(door: Door, call: Call, invoice_id: str) -> None:
    """Answer with one of the organization's invoices, by its id or number.

    As JSON, or as `?format=csv|html` or the header `Accept` want it.
    """
    form = _format(call)
    invoice = await door.invoices.read(invoice_id, call.caller.org_id)
    if form == "json":
        await call.reply_value(invoice_shown(invoice))
        return
    text = _text(invoice, form, door.options.issuer)
    kind = f"{FORMATS[form]}; charset=utf-8".encode()
    headers = [(b"content-type", kind)]
    await call.reply(200, text.encode(), [*headers, *PAGE] if form == "html" else headers)


def _format(call: Call) -> str:
    """Return what is asked for: by the query, else the first of `Accept` that there is."""
    asked = call.query().get("format")
    if asked is not None:
        if asked not in FORMATS:
            raise refuse(f"Invalid 'format': use one of {', '.join(FORMATS)}.", param="format")
        return asked
    by_kind = {kind: name for name, kind in FORMATS.items()}
    for wanted in (call.header(b"accept") or "").split(","):
        kind = wanted.partition(";")[0].strip().lower()
        if kind in by_kind:
            return by_kind[kind]
    return "json"


def _text(invoice: Invoice, form: str, issuer: str) -> str:
    return csv_statement([invoice]) if form == "csv" else html_statement(invoice, issuer)
