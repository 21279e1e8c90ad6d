"""The target `microcks` with tokens of npm's `oidc-provider` in Keycloak's place: discovery, client credentials, one token for all, a
renewal after a 401, a missing role by its name, a wrong secret. The Microcks beside it keeps its services in memory, refuses what Microcks
refuses, and verifies each token by the provider's keys (npm's `jose`)."""

import time
from contextlib import contextmanager

from real import Process, ask, check, folder, free_port, node, npm, say, scripts, tideline, until

SECRET = "a secret: with/characters+that%are encoded"
WRONG = "not-the-secret-4711"
DEFINITION = """openapi: 3.0.2
info: { title: Pets, version: 1.0.0 }
paths:
  /pets: { get: { responses: {} } }
"""
MOCKS = """apiVersion: bcgov.dev/v1alpha1
kind: MicrocksSync
spec: { mocks: [{ mockId: a, artifacts: [{ path: metadata.yaml }] }, { mockId: b, artifacts: [] }] }
"""
METADATA = """apiVersion: mocks.microcks.io/v1alpha1
kind: APIMetadata
metadata: { name: x, version: x, labels: { team: blue } }
operations: { "GET /pets": { delay: 10, dispatcher: URI_PARAMS, dispatcherRules: kind } }
"""


@contextmanager
def programs(path):
    """The provider and Microcks; both with an address and a log."""
    packages = npm("oidc", ["oidc-provider@9.13.3", "jose@6.2.18", "yaml@2.9.1"])
    scripts(packages, "provider.mjs", "oidc.mjs", "microcks.mjs")
    ports = free_port(), free_port()
    issuer = f"http://127.0.0.1:{ports[0]}"
    provider = Process([node(packages), "oidc.mjs", ports[0], SECRET], path / "oidc.log", packages)
    microcks = Process([node(packages), "microcks.mjs", ports[1], issuer], path / "microcks.log", packages)
    try:
        for process in (provider, microcks):
            def listens():
                process.check_runs()
                return "listens" in process.text()

            until("it listens", listens)
        yield (issuer, provider), (f"http://127.0.0.1:{ports[1]}", microcks)
    finally:
        provider.end()
        microcks.end()


def main():
    with folder() as path, programs(path) as ((issuer, provider), (url, microcks)):
        catalog = path / "catalog"
        (catalog / ".mocks").mkdir(parents=True)
        (catalog / ".mocks" / "microcks.yaml").write_text(MOCKS)
        (catalog / ".mocks" / "metadata.yaml").write_text(METADATA)

        def write(text):
            indented = "".join(f"    {line}\n" for line in text.splitlines())
            (catalog / "pets.yaml").write_text(
                "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata:\n  name: pets\n  annotations: { bcgov/microcks-config-ref: 'dir:.mocks' }\n"
                f"spec:\n  type: openapi\n  definition: |\n{indented}"
            )

        write(DEFINITION)
        config = f"""
sources: [{{ name: code, type: files, path: {catalog}, rest: 1s, burst: {{ interval: 0s }} }}]
targets:
  - name: mocks
    type: microcks
    base_url: {url}
    auth: {{ oauth2: {{ issuer: "{issuer}", client_id: sync, client_secret: "${{SECRET}}" }} }}
    follow: {{ sources: [code], kinds: [API] }}
"""
        given = lambda: provider.text().count("given ")
        count = lambda line: microcks.text().count(line)

        def target(to):
            return to.get("/v1/targets/mocks")

        def in_step(to):
            shown = target(to)
            return shown["entities"] == 1 and shown["failing"] == 0 and shown["objects"] == 2 and not shown["hold_until"]

        with tideline(config, {"SECRET": SECRET}) as to:
            until("both mocks are there", lambda: in_step(to))
            check("the token endpoint was found by discovery", "GET /.well-known/openid-configuration" in provider.text())
            check("one token was asked for, however many requests there were", given() == 1, provider.text())
            uploads = count("POST /api/artifact/upload 201")
            check("Microcks verified it by the provider's keys, and took both mocks and the metadata", uploads == 3, microcks.text())

            # Tokens are dated in whole seconds.
            time.sleep(1.1)
            ask("PUT", f"{url}/control", {"before": int(time.time())})
            write(DEFINITION + "  /more: { get: { responses: {} } }\n")
            until("the change is uploaded", lambda: count("POST /api/artifact/upload 201") >= uploads + 2)
            until("both mocks are in step", lambda: in_step(to))
            check("a refused token was renewed once", (given(), count(" 401")) == (2, 1), microcks.text())

            ask("PUT", f"{issuer}/control", {"roles": ["manager"]})
            time.sleep(1.1)
            ask("PUT", f"{url}/control", {"before": int(time.time())})
            write(DEFINITION)
            held = until("the target is held back", lambda: target(to)["hold_reason"])
            check("the missing role is named", "lacks the role user of client microcks-app" in held, held)
            ask("PUT", f"{issuer}/control", {"roles": ["user", "manager"]})
            time.sleep(1.1)
            ask("PUT", f"{url}/control", {"before": int(time.time())})
            say(to.command("targets", "resync", "mocks").strip())
            until("it goes on when the role is there", lambda: in_step(to))

        with tideline(config, {"SECRET": WRONG}) as to:
            held = until("the target is held back", lambda: target(to)["hold_reason"])
            check("a wrong secret holds the target back, and the reason says what to check", "401" in held and "auth.client_secret" in held, held)
            check("the provider refused it as such", "refused invalid_client" in provider.text(), provider.text())
            log = to.process.text()
            check("no secret and no panic is in the log", WRONG not in log + held and "panicked" not in log)


if __name__ == "__main__":
    main()
