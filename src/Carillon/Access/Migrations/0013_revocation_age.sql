-- Revoked token ids are forgotten by age.
CREATE INDEX carillon_revoked_tokens_age ON carillon_revoked_tokens (at);
