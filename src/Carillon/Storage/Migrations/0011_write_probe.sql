-- One row that the health check writes, to know whether the file can be written.
CREATE TABLE carillon_write_probe (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    at     TEXT NOT NULL,
    filler BLOB NOT NULL
);
