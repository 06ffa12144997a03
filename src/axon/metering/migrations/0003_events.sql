-- Events of outside systems: a projection of the records that hold their batches.

-- Organization, source and id are an event's identity for ever: its row decides whether it counts.
-- `late` says that the month of `time_us` was closed when it was received. `data` is kept as it
-- came; what a meter reads of it is read by the question (docs/adr/0017). `instance` and `sequence`
-- are the place of its record in a journal.
CREATE TABLE metering.events (
    org_id text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    time_us bigint NOT NULL,
    received_us bigint NOT NULL,
    late boolean NOT NULL,
    data jsonb,
    credential_id text NOT NULL,
    instance text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (org_id, source, id)
);

-- A question is about one type of events over some time, of everybody or of some subjects.
CREATE INDEX events_type ON metering.events (org_id, type, time_us);
CREATE INDEX events_subject ON metering.events (org_id, type, subject, time_us);

-- What came into closed months, for whoever bills them.
CREATE INDEX events_late ON metering.events (org_id, received_us) WHERE late;
