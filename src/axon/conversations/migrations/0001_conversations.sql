-- Conversations: what is projected from the journal, and the leases for when Valkey is away.
--
-- Every key begins with user_id, the number inside every id, so that the tables can be
-- distributed by it. Content is sealed before it comes here.

CREATE SCHEMA conversations;

CREATE TABLE conversations.conversations (
    user_id bigint NOT NULL,
    id text NOT NULL,
    org_id text NOT NULL,
    created_us bigint NOT NULL,
    updated_us bigint NOT NULL,
    head_sequence int NOT NULL,
    head_fence bigint NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    title text,
    model text,
    implicit boolean NOT NULL,
    archived boolean NOT NULL DEFAULT false,
    deleted_us bigint,
    PRIMARY KEY (user_id, id)
);

CREATE INDEX conversations_created ON conversations.conversations (user_id, created_us, id)
    WHERE NOT implicit AND deleted_us IS NULL;

-- Which record stands at each place of a conversation; the higher fence is the true one.
CREATE TABLE conversations.places (
    user_id bigint NOT NULL,
    conversation_id text NOT NULL,
    sequence int NOT NULL,
    fence bigint NOT NULL,
    origin_id text NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (user_id, conversation_id, sequence)
);

COMMENT ON COLUMN conversations.places.origin_id IS 'the turn, or the change without a turn';

CREATE TABLE conversations.items (
    user_id bigint NOT NULL,
    conversation_id text NOT NULL,
    sequence int NOT NULL,
    index int NOT NULL,
    item_id text NOT NULL,
    turn_id text NOT NULL,
    output boolean NOT NULL,
    kind text NOT NULL,
    author text NOT NULL,
    status text NOT NULL,
    model_tokens int NOT NULL,
    blob bytea NOT NULL,
    created_us bigint NOT NULL,
    PRIMARY KEY (user_id, conversation_id, sequence, index)
);

-- Sealed content does not compress again.
ALTER TABLE conversations.items ALTER COLUMN blob SET STORAGE EXTERNAL;

CREATE INDEX items_id ON conversations.items (user_id, item_id);

CREATE INDEX items_pinned ON conversations.items (user_id, conversation_id, sequence, index)
    WHERE author IN ('system', 'developer');

CREATE TABLE conversations.turns (
    user_id bigint NOT NULL,
    id text NOT NULL,
    org_id text NOT NULL,
    conversation_id text NOT NULL,
    sequence int NOT NULL,
    credential_id text NOT NULL,
    surface text NOT NULL,
    model text NOT NULL,
    status text NOT NULL,
    reason text NOT NULL,
    stored boolean NOT NULL,
    answer bytea,
    input_tokens int NOT NULL,
    cached_tokens int NOT NULL,
    output_tokens int NOT NULL,
    reasoning_tokens int NOT NULL,
    upstream text NOT NULL,
    accepted_us bigint NOT NULL,
    first_token_us bigint NOT NULL,
    completed_us bigint NOT NULL,
    PRIMARY KEY (user_id, id)
);

ALTER TABLE conversations.turns ALTER COLUMN answer SET STORAGE EXTERNAL;

CREATE INDEX turns_conversation ON conversations.turns (user_id, conversation_id, sequence)
    WHERE conversation_id <> '';

-- Who runs the turn of a conversation while Valkey is away, and how far it came: a head beyond
-- the projected one says that an acknowledged record has not reached PostgreSQL yet.
CREATE TABLE conversations.leases (
    user_id bigint NOT NULL,
    conversation_id text NOT NULL,
    holder text NOT NULL,
    fence bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    head_sequence int NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
);
