-- Records who did what, or was refused.
INSERT INTO audit (at, actor_kind, actor, address, request, act, target, source, arguments, refused)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
