"""Statements and exports say what the invoice says, whatever clients called their models."""

import csv
import dataclasses
import io
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest

from axon.billing import (
    FOCUS_COLUMNS,
    CreditNote,
    Invoice,
    Line,
    Position,
    csv_statement,
    focus_csv,
    html_statement,
    invoice_shown,
)
from tests.billing.scene import us

MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory",
    "ServiceName",
}  # fmt: skip
"""By FOCUS 1.2."""

NEVER_NULL = MANDATORY - {"ChargeClass", "PricingQuantity", "PricingUnit"}


def line(number: int, **changes: Any) -> Line:
    usual = Line(
        line=number,
        origin="usage",
        month="2026-10",
        model="small",
        price_id="price_1",
        tier=0,
        kind="input",
        quantity=1_234_567,
        rate_nano=2_500_000_001,
        amount_nano=3_086_418_736,
        positions=(Position(instance="one", first_sequence=1, last_sequence=9, turns=3),),
    )
    return dataclasses.replace(usual, **changes)


def invoice(**changes: Any) -> Invoice:
    lines = (
        line(1),
        line(2, kind="request", quantity=3, rate_nano=7, amount_nano=21),
        line(3, model="<script>alert(1)</script>", kind="output", amount_nano=5_000_000),
        line(4, origin="late", month="2026-09", model="@SUM(1)", rate_nano=None),
        line(5, origin="correction", month="2026-09", kind="correction", quantity=2,
             rate_nano=None, amount_nano=-1_000_000_007),
    )  # fmt: skip
    usual = Invoice(
        invoice_id="inv_1",
        number=12,
        org_id="org_1",
        org_name="Ada & <Sons>",
        month="2026-10",
        time_zone="Europe/Madrid",
        starts_us=us("2026-09-30T22:00"),
        ends_us=us("2026-10-31T23:00"),
        currency="USD",
        state="final",
        amount_nano=sum(one.amount_nano for one in lines),
        made_us=us("2026-11-02"),
        final_us=us("2026-11-02"),
        lines=lines,
        credit_notes=(
            CreditNote(credit_note_id="cn_1", number=1, reference="r", reason="<b>outage</b>",
                       amount_minor=100, made_us=us("2026-11-05")),
        ),
    )  # fmt: skip
    return dataclasses.replace(usual, **changes)


class Page(HTMLParser):
    """What a browser would see of it: elements and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_is_whole_and_names_are_text_in_it() -> None:
    page = Page(html_statement(invoice(), "Our <Company>"))
    assert page.open == [] and "script" not in page.elements and "b" in page.elements
    assert not [name for name, _ in page.attributes if name in ("src", "href")], "it needs no other"
    for text in ("INV-000012", "Ada & <Sons>", "Our <Company>", "<script>alert(1)</script>",
                 "<b>outage</b>", "2026-10-01 to 2026-10-31", "Europe/Madrid", "October 2026",
                 "used in September 2026, came in later", "one:1-9(3)", "2.500000001"):  # fmt: skip
        assert text in page.text, text
    shown = invoice()
    assert "5.18 USD" not in page.text and shown.total_minor == 518
    assert "4.18 USD" in page.text and "-1.00" in page.text and "5.177837486" in page.text


@pytest.mark.parametrize("state", ["preview", "draft", "void"])
def test_a_page_says_what_it_is(state: str) -> None:
    number = 12 if state == "void" else None
    page = Page(
        html_statement(
            invoice(state=state, number=number, void_reason="wrong <price>" * (state == "void")),
            "Axon",
        )
    )
    assert state in page.text
    assert ("wrong <price>" in page.text and "nothing to pay" in page.text) is (state == "void")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_holds_every_line_exactly_and_no_formula() -> None:
    found = rows(csv_statement([invoice()]))
    assert [Decimal(row["amount"]) * 10**9 for row in found] == [
        one.amount_nano for one in invoice().lines
    ]
    assert found[3]["model"] == "'@SUM(1)" and found[4]["amount"] == "-1.000000007"
    assert found[0]["positions"] == "one:1-9(3)" and found[0]["rate"] == "2.500000001"


def test_focus_has_what_1_2_wants_and_adds_up_to_the_invoice() -> None:
    found = rows(focus_csv([invoice()], "Axon"))
    assert tuple(found[0]) == FOCUS_COLUMNS and set(FOCUS_COLUMNS) >= MANDATORY
    assert list(FOCUS_COLUMNS) == sorted(FOCUS_COLUMNS)
    for row in found:
        assert all(row[name] for name in NEVER_NULL), row
        usage = row["ChargeCategory"] == "Usage"
        assert usage or row["ChargeCategory"] in ("Adjustment", "Credit")
        if usage:
            assert row["PricingQuantity"] and row["PricingUnit"]
        if row["ContractedUnitPrice"]:
            product = Decimal(row["PricingQuantity"]) * Decimal(row["ContractedUnitPrice"])
            assert product == Decimal(row["ContractedCost"]) == Decimal(row["ListCost"])
        assert row["BillingPeriodStart"] == "2026-09-30T22:00:00Z"
    by_invoice = {name: Decimal() for name in ("INV-000012", "CN-000001")}
    for row in found:
        by_invoice[row["InvoiceId"]] += Decimal(row["BilledCost"])
    assert by_invoice == {"INV-000012": Decimal("5.18"), "CN-000001": Decimal("-1.00")}
    late = found[3]
    assert late["ChargeClass"] == "Correction"
    assert (late["ChargePeriodStart"], late["ChargePeriodEnd"]) == (
        "2026-08-31T22:00:00Z",
        "2026-09-30T22:00:00Z",
    )
    assert focus_csv([invoice(state="void")], "Axon").count("\n") == 1


def test_programs_read_exact_text_and_whole_minor_units() -> None:
    shown = invoice_shown(invoice())
    assert (shown.total, shown.credited, shown.owed, shown.amount) == (518, 100, 418, "5.177837486")
    assert shown.number == "INV-000012" and shown.minor_digits == 2


def test_what_went_beyond_a_limit_is_told_apart_everywhere() -> None:
    """It has an amount and a count, and no rate: a percentage of what each turn cost."""
    beyond = line(
        2, kind="overage", price_id="", quantity=1_234, rate_nano=None, amount_nano=1_000_000_003
    )
    whole = invoice(lines=(line(1), beyond), credit_notes=(), amount_nano=4_086_418_739)
    page = Page(html_statement(whole, "Axon"))
    assert "Requests beyond a limit1,2341.000000003" in page.text
    shown = invoice_shown(whole).lines
    assert shown and (shown[1].kind, shown[1].rate, shown[1].amount) == (
        "overage",
        None,
        "1.000000003",
    )
    assert rows(csv_statement([whole]))[1]["kind"] == "overage"
    charge = rows(focus_csv([whole], "Axon"))[1]
    assert all(charge[name] for name in NEVER_NULL)
    assert (charge["BilledCost"], charge["ListCost"]) == ("1.000000003", "1.000000003")
    assert (charge["ConsumedQuantity"], charge["ConsumedUnit"]) == ("1234", "Requests")
    assert charge["SkuId"] == "small/overage" and charge["PricingCategory"] == "Other"
    assert charge["ContractedUnitPrice"] == "" and charge["SkuPriceId"]
