-- Who did what, from where, and how it ended. Never a token, a key or a payload.
CREATE TABLE carillon_audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      TEXT NOT NULL,
    actor   TEXT,
    action  TEXT NOT NULL,
    subject TEXT,
    source  TEXT,
    outcome TEXT NOT NULL,
    code    TEXT
);
CREATE INDEX carillon_audit_actor ON carillon_audit (actor, id);
CREATE INDEX carillon_audit_action ON carillon_audit (action, id);
CREATE INDEX carillon_audit_at ON carillon_audit (at);
