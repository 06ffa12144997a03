-- The events of streamed turns, sealed, so that a stream can be followed again after its end. Apart
-- from `turns`, whose rows are read without them.

CREATE TABLE conversations.turn_events (
    user_id bigint NOT NULL,
    turn_id text COLLATE "C" NOT NULL,
    conversation_id text NOT NULL,
    events bytea NOT NULL,
    PRIMARY KEY (user_id, turn_id)
);

ALTER TABLE conversations.turn_events ALTER COLUMN events SET STORAGE EXTERNAL;

CREATE INDEX turn_events_conversation ON conversations.turn_events (user_id, conversation_id)
    WHERE conversation_id <> '';
