-- From which month on an organization's invoices become invoices at Stripe; empty: none do.

ALTER TABLE billing.stripe_customers ADD COLUMN invoices_from text NOT NULL DEFAULT ''
    CHECK (invoices_from ~ '^([0-9]{4}-[0-9]{2})?$');

-- How far each is. `final`: Stripe asks for what ours asks for; `void`: it asks for nothing any more;
-- `refused`: an operator has to look, and `error` says why.
CREATE TABLE billing.stripe_invoices (
    invoice_id text PRIMARY KEY REFERENCES billing.invoices (id),
    org_id text NOT NULL REFERENCES billing.stripe_customers (org_id),
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'final', 'void', 'refused')),
    stripe_id text NOT NULL DEFAULT '',
    told_us bigint NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT ''
);

CREATE TABLE billing.stripe_credit_notes (
    credit_note_id text PRIMARY KEY REFERENCES billing.credit_notes (id),
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'final', 'refused')),
    stripe_id text NOT NULL DEFAULT '',
    told_us bigint NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT ''
);

-- Stripe's reports of events that it took and could not use. `errors` is how many one is about, and
-- `named` how many of them it names.
CREATE TABLE billing.stripe_reports (
    report_id text PRIMARY KEY,
    received_us bigint NOT NULL,
    handled_us bigint NOT NULL DEFAULT 0,
    errors integer NOT NULL DEFAULT 0,
    named integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT ''
);

CREATE INDEX stripe_reports_due ON billing.stripe_reports (received_us) WHERE handled_us = 0;

-- A rejected event whose cause was corrected is forgiven: it no longer counts against its hour.
ALTER TABLE billing.stripe_events DROP CONSTRAINT stripe_events_state_check,
    ADD CHECK (state IN ('due', 'sent', 'rejected', 'forgiven'));
