-- Bytes of the database file, without its log.
SELECT p.page_count * s.page_size FROM pragma_page_count() AS p, pragma_page_size() AS s
