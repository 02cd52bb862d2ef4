-- Version 1. Times are wall milliseconds (labels), sums are tiyn, JSON is text. Small rows: SD cards wear.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Append-only; each row carries the hash of the one before, so an edited or removed row is found.
CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    subject INTEGER NOT NULL,
    entry   TEXT    NOT NULL,
    hash    BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER journal_keeps BEFORE UPDATE ON journal BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_stays BEFORE DELETE ON journal BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;

CREATE TABLE orders (
    id         INTEGER PRIMARY KEY,
    source     TEXT    NOT NULL,
    foreign_id TEXT    NOT NULL,
    snapshot   TEXT    NOT NULL,
    due        INTEGER NOT NULL CHECK (due >= 0),
    closing    TEXT    NOT NULL CHECK (closing IN ('none', 'waiting', 'closing', 'closed', 'question')),
    created    INTEGER NOT NULL,
    seq        INTEGER NOT NULL REFERENCES journal (seq),
    UNIQUE (source, foreign_id)
) STRICT;

CREATE TABLE parts (
    id       INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    no       INTEGER NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount > 0),
    paid     INTEGER NOT NULL DEFAULT 0 CHECK (paid >= 0),
    state    TEXT    NOT NULL CHECK (state IN ('open', 'collecting', 'paid', 'partially_paid', 'overpaid')),
    UNIQUE (order_id, no)
) STRICT;

CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY,
    part_id     INTEGER NOT NULL REFERENCES parts (id),
    no          INTEGER NOT NULL,
    tender      TEXT    NOT NULL,
    via         TEXT    NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    phone       TEXT,
    description TEXT    NOT NULL,
    bot         TEXT,
    state       TEXT    NOT NULL CHECK (state IN
                ('planned', 'sent', 'waiting', 'paid', 'failed', 'cancelled', 'expired', 'unresolved')),
    handle      TEXT,
    evidence    TEXT,
    late        INTEGER NOT NULL DEFAULT 0,
    reason      TEXT,
    watched     INTEGER NOT NULL DEFAULT 1,
    created     INTEGER NOT NULL,
    changed     INTEGER NOT NULL,
    seq         INTEGER NOT NULL REFERENCES journal (seq),
    UNIQUE (part_id, no),
    CHECK (state <> 'paid' OR evidence IS NOT NULL)
) STRICT;
CREATE INDEX attempts_watched ON attempts (via, id) WHERE watched = 1;
CREATE INDEX attempts_handle ON attempts (handle) WHERE handle IS NOT NULL;

-- H2: a key is bound to its content.
CREATE TABLE keys (
    key     TEXT PRIMARY KEY,
    content TEXT    NOT NULL,
    attempt INTEGER NOT NULL REFERENCES attempts (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbox (
    id        INTEGER PRIMARY KEY,
    door      TEXT    NOT NULL,
    event_key TEXT    NOT NULL,
    headers   TEXT    NOT NULL,
    body      BLOB    NOT NULL,
    received  INTEGER NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('matched', 'orphan', 'unreadable', 'settled')),
    attempt   INTEGER REFERENCES attempts (id),
    handle    TEXT,
    status    TEXT,
    amount    INTEGER,
    UNIQUE (door, event_key)
) STRICT;
CREATE INDEX inbox_orphans ON inbox (id) WHERE state = 'orphan';

CREATE TABLE jobs (
    id       INTEGER PRIMARY KEY,
    kind     TEXT    NOT NULL CHECK (kind IN ('close', 'print', 'notify')),
    target   TEXT    NOT NULL,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    attempt  INTEGER REFERENCES attempts (id),
    document TEXT    NOT NULL,
    no       INTEGER NOT NULL,
    state    TEXT    NOT NULL CHECK (state IN
             ('queued', 'sending', 'sent', 'confirmed', 'suspect', 'held', 'done', 'question')),
    tries    INTEGER NOT NULL DEFAULT 0,
    body     TEXT    NOT NULL,
    reason   TEXT,
    created  INTEGER NOT NULL,
    seq      INTEGER NOT NULL REFERENCES journal (seq),
    UNIQUE (order_id, kind, target, document, no)
) STRICT;
CREATE INDEX jobs_open ON jobs (target, id) WHERE state IN ('queued', 'sending', 'suspect', 'held');

CREATE TABLE questions (
    id       INTEGER PRIMARY KEY,
    code     TEXT    NOT NULL,
    order_id INTEGER REFERENCES orders (id),
    attempt  INTEGER REFERENCES attempts (id),
    inbox    INTEGER REFERENCES inbox (id),
    args     TEXT    NOT NULL,
    asked    INTEGER NOT NULL,
    answered INTEGER,
    who      TEXT,
    because  TEXT,
    outcome  TEXT,
    seq      INTEGER NOT NULL REFERENCES journal (seq)
) STRICT;
CREATE INDEX questions_open ON questions (id) WHERE answered IS NULL;
CREATE INDEX questions_attempt ON questions (attempt) WHERE attempt IS NOT NULL AND answered IS NULL;

CREATE TABLE vault (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
