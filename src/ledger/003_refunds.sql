-- Version 3. Refunds as a saga of their own; a question may be about one.
CREATE TABLE refunds (
    id         INTEGER PRIMARY KEY,
    attempt    INTEGER NOT NULL REFERENCES attempts (id),
    no         INTEGER NOT NULL,
    way        TEXT    NOT NULL CHECK (way IN ('terminal', 'cash', 'by_hand')),
    via        TEXT    NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    who        TEXT    NOT NULL,
    because    TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN
               ('planned', 'sent', 'waiting', 'done', 'failed', 'cancelled', 'unresolved')),
    handle     TEXT,
    proof      TEXT,
    late       INTEGER NOT NULL DEFAULT 0,
    reason     TEXT,
    watched    INTEGER NOT NULL DEFAULT 1,
    key        TEXT UNIQUE,
    content    TEXT,
    created    INTEGER NOT NULL,
    changed    INTEGER NOT NULL,
    seq        INTEGER NOT NULL REFERENCES journal (seq),
    UNIQUE (attempt, no),
    CHECK ((state = 'done') = (proof IS NOT NULL)),
    CHECK ((key IS NULL) = (content IS NULL))
) STRICT;
CREATE INDEX refunds_watched ON refunds (via, id) WHERE watched = 1;
ALTER TABLE questions ADD COLUMN refund INTEGER REFERENCES refunds (id);
CREATE INDEX questions_refund ON questions (refund) WHERE refund IS NOT NULL AND answered IS NULL;
-- The POS worker looks at each round for orders that are paid in part.
CREATE INDEX orders_unclosed ON orders (id) WHERE closing = 'none' AND source = 'pos';
-- The day's books are asked for without walking the shop's history.
CREATE INDEX attempts_created ON attempts (created);
