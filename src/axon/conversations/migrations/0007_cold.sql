-- Conversations whose content was moved to the archive. Their rows stay, for lists, sync and
-- deletes; what was said comes back at the first touch.
ALTER TABLE conversations.conversations
    ADD COLUMN cold boolean NOT NULL DEFAULT false,
    ADD COLUMN warmed_us bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN conversations.conversations.cold IS
    'items, answers and events of it are in the archive; newer ones may stand in the tables';
COMMENT ON COLUMN conversations.conversations.warmed_us IS 'when its content last came back';

-- Where each is: one ranged read of one object. The frame is what the checksum is of.
CREATE TABLE conversations.cold (
    user_id bigint NOT NULL,
    conversation_id text NOT NULL,
    object text NOT NULL,
    start_byte bigint NOT NULL,
    bytes int NOT NULL,
    sha256 bytea NOT NULL,
    items int NOT NULL,
    newest_us bigint NOT NULL,
    cooled_us bigint NOT NULL,
    gone text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (user_id, conversation_id)
);

COMMENT ON COLUMN conversations.cold.newest_us IS 'when the newest of its items was made';
COMMENT ON COLUMN conversations.cold.gone IS 'items that were deleted meanwhile: they stay away';

CREATE INDEX cold_object ON conversations.cold (object);

-- By creation, which never changes: an index of what every turn writes would cost every turn.
CREATE INDEX conversations_warm ON conversations.conversations (created_us, user_id, id)
    WHERE NOT cold AND NOT items_deleted;
