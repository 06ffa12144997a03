CREATE SCHEMA projection;

-- How far each journal's effect is in this database; moves in the transaction of that effect.
CREATE TABLE projection.cursors (
    instance   text PRIMARY KEY,
    sequence   bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Records that a room could not apply. The entry itself is kept, for the journal forgets it.
CREATE TABLE projection.parked (
    place           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room            text NOT NULL,
    instance        text NOT NULL,
    sequence        bigint NOT NULL,
    conversation_id text NOT NULL, -- empty: nothing waits behind this record
    kind            integer NOT NULL,
    payload         bytea NOT NULL,
    state           text NOT NULL CHECK (state IN ('failed', 'waiting', 'behind')),
    error           text NOT NULL,
    parked_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (room, instance, sequence)
);

CREATE INDEX parked_by_conversation ON projection.parked (room, conversation_id, place);
