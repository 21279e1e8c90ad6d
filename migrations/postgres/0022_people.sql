-- People who sign in at an OpenID provider: who they are, as JSON, in their session; and as actors of the audit log.
ALTER TABLE sessions ADD COLUMN person TEXT;

ALTER TABLE audit DROP CONSTRAINT audit_actor_kind_check;
ALTER TABLE audit ADD CONSTRAINT audit_actor_kind_check CHECK (actor_kind IN ('token', 'local', 'system', 'person'));
