-- The person from whom a key comes, through however many keys: it ends when that person may not make keys any more.
ALTER TABLE carillon_api_keys ADD COLUMN maker TEXT;
-- Whether the right to make it came from a role in the directory, which is asked about at each use; else it came from a token, and ends with that.
ALTER TABLE carillon_api_keys ADD COLUMN maker_by_role INTEGER NOT NULL DEFAULT 0;
UPDATE carillon_api_keys SET maker = created_by, maker_by_role = 1 WHERE created_by NOT LIKE 'key:%';
