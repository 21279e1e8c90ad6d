-- What a check did not see, but too few readings have missed to say that it is gone.

ALTER TABLE check_results ADD COLUMN unconfirmed BIGINT NOT NULL DEFAULT 0;
