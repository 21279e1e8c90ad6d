-- Notes which targets are no longer configured: all but those of this list. What they own stays theirs.
UPDATE targets SET configured = FALSE WHERE configured AND NOT name = ANY ($1::TEXT[])
