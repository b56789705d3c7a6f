-- The claims of the token that gave its maker the right to make the key, without the signature: the key is good while they would still give it. None where a role in the directory did.
ALTER TABLE carillon_api_keys ADD COLUMN maker_token TEXT;
-- maker_by_role is read no more. It stays: SQLite drops a column only where it can parse the whole schema, and functions of the application may be in that.
-- Keys that were made with a person's keys, and made others in turn, before makers were stored.
WITH RECURSIVE heirs (id, maker) AS (
    SELECT id, maker FROM carillon_api_keys WHERE maker IS NOT NULL
    UNION
    SELECT k.id, h.maker FROM carillon_api_keys k JOIN heirs h ON k.created_by = 'key:' || h.id
)
UPDATE carillon_api_keys SET maker = (SELECT maker FROM heirs WHERE heirs.id = carillon_api_keys.id) WHERE maker IS NULL;
