-- Version 4. A printer may do the job of another; the age of a job may count anew; the end of one-way paper is no work any more.
ALTER TABLE jobs ADD COLUMN instead INTEGER REFERENCES jobs (id);
ALTER TABLE jobs ADD COLUMN wanted INTEGER;
CREATE INDEX jobs_instead ON jobs (instead) WHERE instead IS NOT NULL;
DROP INDEX jobs_open;
CREATE INDEX jobs_open ON jobs (target, id)
 WHERE state IN ('queued', 'sending', 'suspect', 'held') AND coalesce(reason ->> '$.code', '') <> 'one_way';
CREATE INDEX jobs_unseen ON jobs (seq) WHERE state = 'suspect' AND coalesce(reason ->> '$.code', '') = 'one_way';
