-- What entities were before they were modified, for people who look at what changed; for a while, and not without end.
CREATE TABLE entity_versions (
    source_id   BIGINT NOT NULL,
    sequence    BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL,
    replaced_at BIGINT NOT NULL,
    ref         TEXT   COLLATE "C" NOT NULL,
    body        TEXT   NOT NULL,
    PRIMARY KEY (source_id, ref, sequence)
);

CREATE INDEX entity_versions_replaced ON entity_versions (replaced_at);
