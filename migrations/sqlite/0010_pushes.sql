-- Subscriptions that are sent to a URL, and those that want only what an expression is true of.
ALTER TABLE subscriptions ADD COLUMN filter TEXT;
-- Where and how, as JSON; what is secret of it is sealed.
ALTER TABLE subscriptions ADD COLUMN push TEXT;
-- Rises with every replay, and with every change of where it is sent: what is being sent then is cancelled.
ALTER TABLE subscriptions ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
