-- Size of the database file in bytes, without its log.
SELECT p.page_count * s.page_size FROM pragma_page_count() AS p, pragma_page_size() AS s
