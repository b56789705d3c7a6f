-- The windowed history of each channel, and in a row without a name what the channels without publications have, over a restart that was planned: written by a stop, taken and deleted by the next start.
CREATE TABLE carillon_kept_history (
    channel     TEXT    PRIMARY KEY,
    epoch       TEXT    NOT NULL,
    last_offset INTEGER NOT NULL,
    messages    BLOB    NOT NULL,           -- a JSON list, oldest first, the last one at last_offset
    saved_at    INTEGER NOT NULL            -- milliseconds since 1970
);
