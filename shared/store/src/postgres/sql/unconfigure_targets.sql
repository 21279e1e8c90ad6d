-- Records which targets are no longer configured: all except those of this list. They keep what they own.
UPDATE targets SET configured = FALSE WHERE configured AND NOT name = ANY ($1::TEXT[])
