-- Version 5. Documents for the cash register, one row each, in the order in which they are registered. `key` and `request` are written
-- before the first byte leaves and never change; `bill` is what was meant, `answer` what the register said.
CREATE TABLE fiscal (
    id       INTEGER PRIMARY KEY,
    register TEXT    NOT NULL,
    act      TEXT    NOT NULL CHECK (act IN ('sale', 'return', 'cash_in', 'cash_out', 'x', 'z')),
    order_id INTEGER REFERENCES orders (id),
    basis    INTEGER REFERENCES fiscal (id),
    total    INTEGER NOT NULL CHECK (total >= 0),
    bill     TEXT    NOT NULL,
    key      TEXT    UNIQUE,
    request  TEXT,
    state    TEXT    NOT NULL CHECK (state IN ('queued', 'sending', 'uncertain', 'registered', 'refused', 'settled')),
    tries    INTEGER NOT NULL DEFAULT 0,
    answer   TEXT,
    sign     TEXT,
    reason   TEXT,
    -- when the guest got paper that says that the receipt comes later
    noticed  INTEGER,
    -- whether the POS knows that the receipt exists
    mark     TEXT    NOT NULL DEFAULT 'none' CHECK (mark IN ('none', 'waiting', 'done', 'refused')),
    created  INTEGER NOT NULL,
    changed  INTEGER NOT NULL,
    seq      INTEGER NOT NULL REFERENCES journal (seq),
    CHECK ((key IS NULL) = (request IS NULL)),
    CHECK (state <> 'registered' OR answer IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX fiscal_sign ON fiscal (register, sign) WHERE sign IS NOT NULL;
CREATE INDEX fiscal_open ON fiscal (register, id) WHERE state IN ('queued', 'sending', 'uncertain', 'refused');
CREATE INDEX fiscal_order ON fiscal (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX fiscal_marks ON fiscal (id) WHERE mark = 'waiting';
CREATE INDEX fiscal_created ON fiscal (created);

-- Which payments a document is for: what it registers of each, below zero where it takes back.
CREATE TABLE fiscal_shares (
    fiscal  INTEGER NOT NULL REFERENCES fiscal (id),
    attempt INTEGER NOT NULL REFERENCES attempts (id),
    amount  INTEGER NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (fiscal, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX fiscal_shares_attempt ON fiscal_shares (attempt);
