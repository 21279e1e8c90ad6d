-- What entities were before they were modified, for people who look at what changed; for a while, and not without end.
CREATE TABLE entity_versions (
    source_id   INTEGER NOT NULL,
    ref         TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    replaced_at INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (source_id, ref, sequence)
) STRICT;

CREATE INDEX entity_versions_replaced ON entity_versions (replaced_at);
