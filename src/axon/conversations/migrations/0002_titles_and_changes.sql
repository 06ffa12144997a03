-- A title is content, so it is sealed like an item. Nothing was ever written into the clear one.
ALTER TABLE conversations.conversations
    DROP COLUMN title,
    ADD COLUMN title bytea,
    ADD COLUMN forked_conversation_id text,
    ADD COLUMN forked_item_id text,
    ADD COLUMN items_deleted boolean NOT NULL DEFAULT false;

-- Ids sort by time, so a list in the order of creation is one in the order of ids; "C" sorts them
-- alike in every database.
DROP INDEX conversations.conversations_created;

CREATE INDEX conversations_listed ON conversations.conversations (user_id, id COLLATE "C")
    WHERE NOT implicit AND deleted_us IS NULL;

-- How far a person's feed of changes has come. The row is locked until the transaction commits, so
-- a lower position is never seen after a higher one, whoever projects.
CREATE TABLE conversations.feeds (
    user_id bigint PRIMARY KEY,
    position bigint NOT NULL,
    expired_through bigint NOT NULL DEFAULT 0
);

COMMENT ON COLUMN conversations.feeds.expired_through IS
    'up to here changes may have been taken away; who has seen less begins anew';

-- What happened to a person's conversations, without content: who reads it is shown what is there.
CREATE TABLE conversations.changes (
    user_id bigint NOT NULL,
    position bigint NOT NULL,
    at_us bigint NOT NULL,
    conversation_id text NOT NULL,
    sequence int NOT NULL,
    kind text NOT NULL,
    turn_id text NOT NULL,
    item_ids text[] NOT NULL,
    PRIMARY KEY (user_id, position)
);

CREATE INDEX changes_conversation
    ON conversations.changes (user_id, conversation_id, sequence, position);
