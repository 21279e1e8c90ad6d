-- What a target's follower saw last of these entities (reference, fingerprint).
INSERT INTO target_entities (target, reference, fingerprint)
SELECT ?1, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?2) WHERE TRUE
ON CONFLICT (target, reference) DO UPDATE SET fingerprint = excluded.fingerprint
