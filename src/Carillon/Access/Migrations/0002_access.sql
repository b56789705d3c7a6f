-- Who is known. A deleted user stays as a row: whoever is deleted is not let in again "on first sight".
CREATE TABLE carillon_users (
    id         TEXT PRIMARY KEY,
    name       TEXT,
    roles      TEXT    NOT NULL DEFAULT '[]',   -- JSON
    region     TEXT,
    interests  TEXT    NOT NULL DEFAULT '[]',   -- JSON
    disabled   INTEGER NOT NULL DEFAULT 0,
    deleted    INTEGER NOT NULL DEFAULT 0,
    created_at TEXT    NOT NULL,
    updated_at TEXT    NOT NULL
);

-- Who belongs to a channel, for areas that are open to their members.
CREATE TABLE carillon_members (
    channel TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (channel, user_id)
);
CREATE INDEX carillon_members_user ON carillon_members (user_id);

-- Tokens that were taken back: one by its jti, or all that a user was given before a moment.
CREATE TABLE carillon_revoked_tokens (
    jti TEXT PRIMARY KEY,
    at  TEXT NOT NULL
);
CREATE TABLE carillon_revoked_users (
    user_id   TEXT PRIMARY KEY,
    before_ms INTEGER NOT NULL                  -- epoch milliseconds
);

-- Keys of back ends. Only the hash of a key is kept.
CREATE TABLE carillon_api_keys (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    hash       TEXT NOT NULL,                   -- SHA-256, hexadecimal
    scopes     TEXT NOT NULL,                   -- JSON
    created_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT
);

-- Tickets: good for one connection. Used ones stay a while without their token, so that a second use can be told from a forgery.
CREATE TABLE carillon_tickets (
    hash       TEXT PRIMARY KEY,
    user_id    TEXT    NOT NULL,
    token      TEXT,                            -- JSON: what the token said that the ticket was given for; none when it was used
    expires_ms INTEGER NOT NULL                 -- epoch milliseconds
);
CREATE INDEX carillon_tickets_user ON carillon_tickets (user_id);
CREATE INDEX carillon_tickets_expiry ON carillon_tickets (expires_ms);
