-- What people suggest, with the tally of the votes. The version grows with each vote that changes it.
CREATE TABLE carillon_suggestions (
    id         TEXT PRIMARY KEY,                -- a version 7 UUID: in the order of creation
    title      TEXT    NOT NULL,
    body       TEXT,
    author     TEXT    NOT NULL,
    up         INTEGER NOT NULL DEFAULT 0,
    down       INTEGER NOT NULL DEFAULT 0,
    version    INTEGER NOT NULL DEFAULT 0,
    created_at TEXT    NOT NULL
);

-- One vote of each person; who withdraws it has none.
CREATE TABLE carillon_votes (
    suggestion_id TEXT    NOT NULL REFERENCES carillon_suggestions (id),
    user_id       TEXT    NOT NULL,
    value         INTEGER NOT NULL CHECK (value IN (-1, 1)),
    at            TEXT    NOT NULL,
    PRIMARY KEY (suggestion_id, user_id)
);
CREATE INDEX carillon_votes_user ON carillon_votes (user_id);
