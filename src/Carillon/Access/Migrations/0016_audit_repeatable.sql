-- What clients can repeat at will is pruned before what administrators decided.
CREATE INDEX carillon_audit_repeatable ON carillon_audit (id)
    WHERE (outcome = 'refused' OR action IN ('connect', 'disconnect', 'connection:ended', 'subscribe', 'unsubscribed', 'token:refresh', 'ticket:given', 'publish', 'acts:more'));
