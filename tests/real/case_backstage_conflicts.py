"""The module's conflicts in a real Backstage backend: an entity that another provider has stays that provider's, whatever Tideline adds,
changes and removes; it is counted, named in the log, and reported to Tideline by a signed webhook; and it comes from Tideline once the other
provider drops it."""

import base64
import json
import secrets

from case_backstage import Backend, Source, build, entity, reference, same
from real import check, folder, postgres, tideline, until

ENTITIES = 20
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
SHARED = 7


class Contested(Backend):
    """A Backstage with the module, and with a file of entities of its own."""

    def __init__(self, path, database, source, rivals):
        super().__init__(path, database, source, "contested_", {"seconds": 2})
        self.rivals = rivals
        config = json.loads(self.config.read_text())
        config["tideline"]["reports"] = {"hook": "backstage", "secret": SECRET}
        catalog = config["catalog"]
        catalog["rules"] = [{"allow": ["Component", "Location"]}]
        catalog["locations"] = [{"type": "file", "target": str(rivals)}]
        catalog["orphanStrategy"] = "delete"
        self.config.write_text(json.dumps(config))

    def components(self):
        return {name: title for name, title in self.served().items() if name.startswith("component:")}

    def write(self, entities):
        # JSON is YAML, too.
        self.rivals.write_text("".join(f"---\n{json.dumps(one)}\n" for one in entities))

    def restart(self):
        # The module counts conflicts when it starts, and every ten minutes.
        self.end()
        return self.start()


def reports(feed):
    """The conflicts that Tideline was told of, the newest last."""
    found = [one for one in feed.events() if one["topic"] == "backstage.conflicts"]
    assert all(one["verdict"] == "verified" for one in found), found
    return [feed.get(f"/v1/events/{one['id']}")["body"]["data"] for one in sorted(found, key=lambda one: int(one["id"]))]


def told(feed, wanted, what):
    until(what, lambda: reports(feed)[-1:] == [wanted], 90, 1)
    check(what, True)


def main():
    build()
    config = f"sources: [{{ name: catalog, type: push }}]\nhooks: [{{ name: backstage, provider: standard, secret: {SECRET} }}]\n"
    with folder() as path, postgres() as database, tideline(config) as feed:
        backend = Contested(path, database, feed.url, path / "rivals.yaml")
        alone = entity(ENTITIES + 1, "only the other's")
        backend.write([entity(SHARED, "the other's"), alone])
        backend.start()
        try:
            until("the other provider's two are there", lambda: len(backend.components()) == 2, 120, 1)
            told(feed, {"conflicts": 0, "entities": []}, "Tideline is told that there is no conflict")

            source = Source(feed)
            source.push(entity(at) for at in range(ENTITIES))
            both = Source(feed)
            both.titles = {**source.titles, reference(SHARED): "the other's", reference(ENTITIES + 1): "only the other's"}
            same(both, backend.components, "what both have stays the other's, and all else is added")
            source.push([entity(SHARED, "changed in Tideline"), entity(8, "changed in Tideline")])
            both.titles[reference(8)] = "changed in Tideline"
            same(both, backend.components, "a change of it is not shown, and one of another entity is")

            backend.restart()
            told(feed, {"conflicts": 1, "entities": [reference(SHARED)]}, "Tideline is told of one conflict, by its reference")
            check("the log counts it", "1 entities of Tideline are not shown" in backend.process.text(), backend.process.text()[-2000:])

            source.push([], [SHARED])
            source.push([entity(9, "after the removal")])
            both.titles[reference(9)] = "after the removal"
            same(both, backend.components, "Tideline removes it: it stays the other's")
            backend.restart()
            told(feed, {"conflicts": 0, "entities": []}, "Tideline is told that the conflict is over")

            source.push([entity(SHARED, "Tideline's")])
            source.push([entity(9, "once more")])
            both.titles[reference(9)] = "once more"
            same(both, backend.components, "Tideline has it again: it is still the other's")
            backend.write([alone])
            until("the other provider drops it", lambda: backend.components().get(reference(SHARED)) != "the other's", 120, 1)
            backend.restart()
            both.titles[reference(SHARED)] = "Tideline's"
            same(both, backend.components, "the other drops it: now it is Tideline's")
            log = feed.process.text() + backend.process.text()
            check("no secret and no panic is in a log", SECRET not in log and "panicked" not in log)
        finally:
            backend.end()


if __name__ == "__main__":
    main()
