"""The target `microcks` against Microcks' own OpenAPI document, served by Prism: every request is one that it allows.

Prism keeps no state, so nothing that was uploaded is found again; that Tideline brings mocks about is shown by the tests with a stateful
stand-in. This shows that its requests are Microcks' own."""

import os
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from real import ROOT, Process, ask, check, folder, free_port, node, npm, say, skip, tideline, until

DOCUMENT = Path(os.environ.get("TIDELINE_REAL_MICROCKS", ROOT.parent / "shared" / "data" / "microcks" / "microcks-openapi-v1.15.yaml"))
DEFINITION = """openapi: 3.0.2
info: { title: Pets, version: 1.0.0 }
paths:
  /pets/{id}:
    get:
      parameters: [{ name: id, in: path, required: true, schema: { type: string }, examples: { one: { value: "1" } } }]
      responses:
        "200":
          description: one
          content: { application/json: { schema: { type: object }, examples: { one: { value: { id: "1" } } } } }
"""
MOCKS = """apiVersion: bcgov.dev/v1alpha1
kind: MicrocksSync
spec:
  mocks:
    - mockId: default
      artifacts:
        - { path: metadata.yaml }
"""
METADATA = """apiVersion: mocks.microcks.io/v1alpha1
kind: APIMetadata
metadata: { name: Pets, version: 1.0.0 }
operations:
  "GET /pets/{id}": { delay: 10, dispatcher: URI_PARTS, dispatcherRules: id }
"""


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    if not DOCUMENT.is_file():
        skip("Microcks' api/microcks-openapi-v1.15.yaml is not there: name it by TIDELINE_REAL_MICROCKS")
    packages = npm("prism", ["@stoplight/prism-cli@5.14.2"])
    with folder() as path:
        (path / "mocks").mkdir()
        (path / "mocks" / "microcks.yaml").write_text(MOCKS)
        (path / "mocks" / "metadata.yaml").write_text(METADATA)
        files = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=path))
        threading.Thread(target=files.serve_forever, daemon=True).start()
        # Prism serves the paths as they are written; Microcks has them below the path of its server, /api.
        document = path / "microcks.yaml"
        document.write_text(re.sub(r"(?m)^  (/\S+:)$", r"  /api\1", DOCUMENT.read_text()))
        port = free_port()
        prism = packages / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
        command = [node(packages), prism, "mock", "--host", "127.0.0.1", "--port", port, "--errors", document]
        server = Process(command, path / "prism.log", path)
        try:
            def listens():
                server.check_runs()
                return "Prism is listening" in server.text()

            until("Prism listens", listens, 180)
            config = f"""
sources: [{{ name: code, type: push }}]
targets:
  - name: mocks
    type: microcks
    base_url: http://127.0.0.1:{port}
    auth: {{ bearer: not-checked }}
    follow: {{ sources: [code], kinds: [API] }}
    document_hosts: ["127.0.0.1:{files.server_address[1]}"]
    backoff: [1s, 1s]
"""
            with tideline(config) as to:
                annotation = f"url:http://127.0.0.1:{files.server_address[1]}/mocks"
                body = {
                    "apiVersion": "backstage.io/v1alpha1", "kind": "API",
                    "metadata": {"name": "pets", "annotations": {"bcgov/microcks-config-ref": annotation}},
                    "spec": {"type": "openapi", "lifecycle": "production", "owner": "pets", "definition": DEFINITION},
                }
                pushed = ask("PUT", f"{to.url}/v1/sources/code/entities", {"upserts": [{"body": body}]})
                check("an API with mocks is in the catalog", pushed.status == 200, pushed.body)
                requests = lambda: re.findall(r"\b(get|post|put|delete) (/\S*) .*Request received", server.text())
                until("an artifact is uploaded", lambda: any("upload" in one for _, one in requests()), 90)
                asked = sorted({f"{method.upper()} {one.split('?')[0]}" for method, one in requests()})
                say(f"asked: {', '.join(asked)}")
                lines = server.text().splitlines()
                broken = [line for line in lines if "Violation: request" in line or "Route not resolved" in line]
                check("no request breaks Microcks' contract", not broken, broken[:5])
                check("no panic is in the log", "panicked" not in to.process.text())
        finally:
            server.end()
            files.shutdown()


if __name__ == "__main__":
    main()
