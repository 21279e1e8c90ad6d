#!/usr/bin/env python3
"""Writes the package list of this Debian machine (apt-cache dumpavail) into the table `packages` of a SQLite file."""

import sqlite3
import subprocess
import sys

COLUMNS = ["Package", "Version", "Architecture", "Section", "Priority", "Installed-Size", "Maintainer", "Homepage",
           "Description", "Source", "Depends", "SHA256"]


def records(lines):
    """Yields one dict per paragraph; a line that starts with white space continues the field before it."""
    fields, last = {}, None
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if fields:
                yield fields
            fields, last = {}, None
        elif line[0].isspace():
            if last:
                fields[last] += "\n" + line.strip()
        else:
            last, _, value = line.partition(":")
            fields[last] = value.strip()
    if fields:
        yield fields


def main(path):
    names = [column.lower().replace("-", "_") for column in COLUMNS]
    database = sqlite3.connect(path)
    with database:
        database.execute("DROP TABLE IF EXISTS packages")
        typed = ", ".join(f"{name} {'INTEGER' if name == 'installed_size' else 'TEXT'}" for name in names[1:])
        database.execute(f"CREATE TABLE packages (package TEXT PRIMARY KEY, {typed})")
        dump = subprocess.Popen(["apt-cache", "dumpavail"], stdout=subprocess.PIPE, text=True)
        marks = ", ".join("?" * len(names))
        rows = ([record.get(column) for column in COLUMNS] for record in records(dump.stdout) if "Package" in record)
        # Of a package with several versions the first one listed stays.
        database.executemany(f"INSERT OR IGNORE INTO packages VALUES ({marks})", rows)
        if dump.wait() != 0:
            raise SystemExit("apt-cache dumpavail failed")
    count = database.execute("SELECT count(*) FROM packages").fetchone()[0]
    print(f"{count} packages in {path}")
    return 0 if count >= 50_000 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "debian.db"))
