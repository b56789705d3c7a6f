-- How often each resource was updated: the version that its next update carries is one more.
CREATE TABLE carillon_resources (
    id      TEXT PRIMARY KEY,
    version INTEGER NOT NULL
);
