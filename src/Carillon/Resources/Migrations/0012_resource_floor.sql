-- The highest version of all resources that were deleted: new ones begin above it, so that versions only grow.
CREATE TABLE carillon_resource_floor (version INTEGER NOT NULL);
INSERT INTO carillon_resource_floor VALUES (0);
