-- The acts on one source are shown on its page.
CREATE INDEX audit_source ON audit (source, id) WHERE source IS NOT NULL;
