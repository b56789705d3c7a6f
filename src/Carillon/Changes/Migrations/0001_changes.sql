-- The log: one row per announced change, written by the triggers in the same transaction as the change itself.
-- Its id grows in the order of the commits; its offset is dense per table and epoch: the position that clients know.
CREATE TABLE carillon_changes (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    table_name TEXT    NOT NULL,
    epoch      TEXT    NOT NULL,
    offset     INTEGER NOT NULL,
    operation  TEXT    NOT NULL,            -- insert, update, delete
    key        TEXT    NOT NULL,            -- a JSON value: a text, or an object where the key has several columns
    columns    TEXT    NOT NULL DEFAULT '[]',
    row        TEXT,                        -- a JSON object, where it is small
    actor      TEXT,
    at         TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE UNIQUE INDEX carillon_changes_position ON carillon_changes (table_name, epoch, offset);

-- Where each live table stands.
CREATE TABLE carillon_tables (
    table_name     TEXT PRIMARY KEY,
    epoch          TEXT    NOT NULL DEFAULT (lower(hex(randomblob(6)))),
    last_offset    INTEGER NOT NULL DEFAULT 0,
    pruned_through INTEGER NOT NULL DEFAULT 0,
    watched        INTEGER NOT NULL DEFAULT 0   -- whether its triggers were there at the last look
) WITHOUT ROWID;

-- Who acts in the transaction that is being written. Empty outside of one.
CREATE TABLE carillon_context (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    actor TEXT
);
INSERT INTO carillon_context (id) VALUES (1);

-- Rows that a write may take away without a delete trigger hearing of it (INSERT OR REPLACE, UPDATE OR REPLACE): noted before the write,
-- looked at after it. Empty, or of rows that are still there, outside of a statement. p1 to p8 find the row: its rowid or its primary key.
CREATE TABLE carillon_replaced (
    id         INTEGER PRIMARY KEY,
    table_name TEXT NOT NULL,
    key        TEXT NOT NULL,
    gone       INTEGER NOT NULL DEFAULT 0,
    p1, p2, p3, p4, p5, p6, p7, p8
);
CREATE INDEX carillon_replaced_table ON carillon_replaced (table_name, key);

CREATE TRIGGER carillon_replaced_gone AFTER UPDATE OF gone ON carillon_replaced BEGIN
    UPDATE carillon_tables SET last_offset = last_offset + 1 WHERE table_name = NEW.table_name;
    INSERT INTO carillon_changes (table_name, epoch, offset, operation, key, actor)
    SELECT table_name, epoch, last_offset, 'delete', NEW.key, (SELECT actor FROM carillon_context) FROM carillon_tables WHERE table_name = NEW.table_name;
END;
