"""The catalog as a `Location` of YAML pages (`backstage.locations`), read by a Backstage backend without the module: the same set, the
annotations of the entities, a change, a removal, a key that replaces another."""

import json

from case_backstage import Backend, Source, build, entity, reference, same
from real import ask, check, folder, postgres, tideline

ENTITIES = 200
KEY, NEXT = "k" * 32, "n" * 32
PLACE = "url:https://git.example.com/acme/components.yaml"


def located(at, title=None):
    body = entity(at, title)
    body["metadata"]["annotations"] = {"backstage.io/managed-by-location": PLACE, "example.com/place": PLACE}
    return body


class Reader(Backend):
    program = "build/dev/plain.js"

    def __init__(self, path, database, feed, key):
        super().__init__(path, database, feed.url, "pages_", {"seconds": 5})
        config = json.loads(self.config.read_text())
        config["backend"]["reading"] = {"allow": [{"host": feed.url.removeprefix("http://")}]}
        config["catalog"]["rules"] = [{"allow": ["Component", "Location"]}]
        config["catalog"]["locations"] = [{"type": "url", "target": f"{feed.url}/backstage/{key}/locations.yaml"}]
        del config["tideline"]
        self.config.write_text(json.dumps(config))

    def served(self):
        return {name: title for name, title in super().served().items() if name.startswith("component:")}


def main():
    build()
    config = f"sources: [{{ name: catalog, type: push }}]\nbackstage: {{ locations: {{ key: {KEY}, next_key: {NEXT}, pages: 8 }} }}\n"
    with folder() as path, postgres() as database, tideline(config) as feed:
        source = Source(feed)
        source.push(located(at) for at in range(ENTITIES))
        check("without the key nothing is served", ask("GET", f"{feed.url}/backstage/{'x' * 32}/locations.yaml").status == 404)
        backend = Reader(path, database, feed, KEY).start()
        try:
            same(source, backend.served, "first reading")
            found = backend.ask("/entities/by-name/component/team-7/component-7")
            annotations = found["metadata"]["annotations"]
            # Backstage writes its own managed-by annotations, with the address of the page, whatever a page says.
            check("other annotations of an entity stay", annotations.get("example.com/place") == PLACE, annotations)
            source.push([located(7, "changed")], range(ENTITIES - 10, ENTITIES))
            same(source, backend.served, "a change and ten removals")
            backend.end()
            backend = Reader(path, database, feed, NEXT).start()
            source.push([located(8, "changed too")])
            same(source, backend.served, "the next key")
            check("no entity was lost on the way", reference(9) in backend.served())
            log = feed.process.text() + json.dumps(feed.events())
            check("no key is in Tideline's log or events", KEY not in log and NEXT not in log)
        finally:
            backend.end()


if __name__ == "__main__":
    main()
