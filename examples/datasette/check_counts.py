#!/usr/bin/env python3
"""Compares the catalog with the source by SQL: the table datasette serves, and Tideline's SQLite store."""

import sqlite3
import sys

SOURCE = "file:{}?mode=ro"

CHECKS = {
    # What it is: (SQL over the source, SQL over the catalog)
    "packages": (
        "SELECT count(*) FROM source.packages",
        "SELECT count(*) FROM catalog",
    ),
    "packages per architecture": (
        "SELECT architecture, count(*) FROM source.packages GROUP BY 1 ORDER BY 1",
        "SELECT body ->> 'architecture', count(*) FROM catalog GROUP BY 1 ORDER BY 1",
    ),
    "packages per section": (
        "SELECT section, count(*) FROM source.packages GROUP BY 1 ORDER BY 1",
        "SELECT body ->> 'section', count(*) FROM catalog GROUP BY 1 ORDER BY 1",
    ),
    "sum of installed sizes": (
        "SELECT sum(installed_size) FROM source.packages",
        "SELECT sum(body ->> 'installed_size') FROM catalog",
    ),
    "names, versions and checksums": (
        "SELECT package, version, sha256 FROM source.packages ORDER BY package",
        "SELECT body ->> 'package', body ->> 'version', body ->> 'sha256' FROM catalog ORDER BY 1",
    ),
}


def main(source, store):
    database = sqlite3.connect(SOURCE.format(store), uri=True)
    database.execute("ATTACH ? AS source", (SOURCE.format(source),))
    database.execute("""
        CREATE TEMP VIEW catalog AS
        SELECT changes.body FROM changes JOIN sources ON sources.id = changes.source_id
        WHERE sources.name = 'debian' AND changes.body IS NOT NULL""")
    wrong = 0
    for what, (of_source, of_catalog) in CHECKS.items():
        expected, found = (database.execute(sql).fetchall() for sql in (of_source, of_catalog))
        same = expected == found
        wrong += not same
        shown = expected[0][0] if len(expected) == 1 else f"{len(expected)} rows"
        print(f"{'same' if same else 'DIFFERENT':<10}{what}: {shown}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["debian.db", "tideline.db"])))
