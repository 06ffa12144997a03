-- What organizations are asked to pay: invoices made of metered turns, and how far each has come.

CREATE SCHEMA billing;

-- The next number of each series. A number is taken in the transaction that issues its document, so
-- the series have no gaps; whoever changes invoices locks this table first.
CREATE TABLE billing.numbers (
    series text PRIMARY KEY CHECK (series IN ('invoice', 'credit_note')),
    next bigint NOT NULL
);

INSERT INTO billing.numbers VALUES ('invoice', 1), ('credit_note', 1);

-- A month of an organization that was billed: [starts_us, ends_us), where the next one begins. What
-- it holds is said by places alone: every turn that was projected through `closed_places`, but for
-- those in `left_out` and what the close `after_id` had before it.
CREATE TABLE billing.closes (
    id text PRIMARY KEY,
    org_id text NOT NULL,
    month text NOT NULL CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'),
    time_zone text NOT NULL,
    starts_us bigint NOT NULL,
    ends_us bigint NOT NULL CHECK (ends_us > starts_us),
    closed_us bigint NOT NULL,
    after_id text REFERENCES billing.closes (id),
    voided_us bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX closes_month ON billing.closes (org_id, month) WHERE voided_us = 0;

CREATE TABLE billing.closed_places (
    close_id text NOT NULL REFERENCES billing.closes (id),
    instance text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (close_id, instance)
);

-- Records that were parked when the month was closed: their turns are billed when they have come in.
CREATE TABLE billing.left_out (
    close_id text NOT NULL REFERENCES billing.closes (id),
    instance text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (close_id, instance, sequence)
);

-- Amounts are nano-units (10^-9 of the currency); the total alone is in minor units, rounded once.
CREATE TABLE billing.invoices (
    id text PRIMARY KEY,
    number bigint UNIQUE,
    org_id text NOT NULL,
    org_name text NOT NULL,
    month text NOT NULL CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'),
    time_zone text NOT NULL,
    starts_us bigint NOT NULL,
    ends_us bigint NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    state text NOT NULL CHECK (state IN ('draft', 'final', 'void')),
    amount_nano numeric(38, 0) NOT NULL,
    total_minor bigint NOT NULL,
    made_us bigint NOT NULL,
    final_us bigint NOT NULL DEFAULT 0,
    voided_us bigint NOT NULL DEFAULT 0,
    void_reason text NOT NULL DEFAULT '',
    close_id text REFERENCES billing.closes (id),
    CHECK ((state = 'draft') = (number IS NULL)),
    CHECK ((state = 'draft') = (close_id IS NULL))
);

CREATE UNIQUE INDEX invoices_living ON billing.invoices (org_id, month, currency)
    WHERE state <> 'void';

-- `origin` is the month itself ('usage'), a turn that came too late for its month ('late'), or a
-- charge that was corrected ('correction'); `month` is the one in which the turns were accepted.
CREATE TABLE billing.lines (
    invoice_id text NOT NULL REFERENCES billing.invoices (id) ON DELETE CASCADE,
    line integer NOT NULL,
    origin text NOT NULL CHECK (origin IN ('usage', 'late', 'correction')),
    month text NOT NULL,
    model text NOT NULL,
    price_id text NOT NULL,
    tier integer NOT NULL,
    kind text NOT NULL,
    quantity bigint NOT NULL,
    rate_nano bigint,
    amount_nano numeric(38, 0) NOT NULL,
    PRIMARY KEY (invoice_id, line)
);

-- Where a line's turns are in the journals.
CREATE TABLE billing.positions (
    invoice_id text NOT NULL,
    line integer NOT NULL,
    instance text NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    turns bigint NOT NULL,
    PRIMARY KEY (invoice_id, line, instance),
    FOREIGN KEY (invoice_id, line) REFERENCES billing.lines (invoice_id, line) ON DELETE CASCADE
);

-- Corrections that are on a final invoice; the key is why none is ever on two.
CREATE TABLE billing.billed_corrections (
    user_id bigint NOT NULL,
    turn_id text NOT NULL,
    number integer NOT NULL,
    currency text NOT NULL,
    invoice_id text NOT NULL,
    line integer NOT NULL,
    PRIMARY KEY (user_id, turn_id, number, currency),
    FOREIGN KEY (invoice_id, line) REFERENCES billing.lines (invoice_id, line)
);

CREATE INDEX billed_corrections_line ON billing.billed_corrections (invoice_id, line);

-- `reference` is the caller's own: the same one again is the same credit note.
CREATE TABLE billing.credit_notes (
    id text PRIMARY KEY,
    number bigint NOT NULL UNIQUE,
    invoice_id text NOT NULL REFERENCES billing.invoices (id),
    reference text NOT NULL,
    reason text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    made_us bigint NOT NULL,
    UNIQUE (invoice_id, reference)
);

-- What was sent to a customer stays as it is, whoever asks.
CREATE FUNCTION billing.refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'draft' THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    IF TG_OP = 'DELETE' OR NEW.state = 'draft'
            OR (to_jsonb(OLD) - 'state' - 'voided_us' - 'void_reason')
            IS DISTINCT FROM (to_jsonb(NEW) - 'state' - 'voided_us' - 'void_reason') THEN
        RAISE EXCEPTION 'an issued invoice is never changed or deleted, only voided or credited';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER invoices_stay BEFORE UPDATE OR DELETE ON billing.invoices
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_rewriting();

CREATE FUNCTION billing.refuse_issued() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM billing.invoices AS i WHERE i.state <> 'draft'
            AND i.id = coalesce(NEW.invoice_id, OLD.invoice_id)) THEN
        RAISE EXCEPTION 'the lines of an issued invoice are never changed';
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;

CREATE TRIGGER lines_stay BEFORE INSERT OR UPDATE OR DELETE ON billing.lines
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_issued();
CREATE TRIGGER positions_stay BEFORE INSERT OR UPDATE OR DELETE ON billing.positions
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_issued();

CREATE FUNCTION billing.refuse_any() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a credit note is never changed or deleted';
END
$$;

CREATE TRIGGER credit_notes_stay BEFORE UPDATE OR DELETE ON billing.credit_notes
    FOR EACH ROW EXECUTE FUNCTION billing.refuse_any();
