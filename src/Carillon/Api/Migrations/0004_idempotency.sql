-- Writes that were answered, by the key that their caller gave them: the same request again gets the same answer and does nothing.
CREATE TABLE carillon_idempotency (
    caller  TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    request TEXT    NOT NULL,                   -- SHA-256 of method, path and body
    status  INTEGER,                            -- none while the first is under way
    type    TEXT,
    location TEXT,
    body    BLOB,
    at_ms   INTEGER NOT NULL,                   -- epoch milliseconds
    PRIMARY KEY (caller, key)
);
CREATE INDEX carillon_idempotency_age ON carillon_idempotency (at_ms);
