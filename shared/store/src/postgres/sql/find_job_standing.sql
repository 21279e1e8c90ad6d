-- A job's state, with what its cycle allows; the row is this transaction's.
SELECT j.state, j.source_id, j.cycle FROM jobs j WHERE j.id = $1 FOR UPDATE
