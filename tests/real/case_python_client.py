"""A client made by openapi-python-client of the API's OpenAPI document talks to a running `tideline run`."""

import subprocess

from real import ask, check, folder, pip, tideline

USE = """
import sys
from tideline_client import AuthenticatedClient
from tideline_client.api.catalog import changes_list, entities_list
from tideline_client.api.sources import sources_list

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], raise_on_unexpected_status=True)
listed = sources_list.sync(client=client)
assert [one.name for one in listed.items] == ["pushed"], listed
found = entities_list.sync(client=client, limit=5)
assert len(found.items) == 5 and found.next_page_token, found
seen, after = 0, "0"
while True:
    answer = changes_list.sync(client=client, after=after, limit=7)
    seen += len(answer.changes)
    if not answer.changes:
        break
    after = answer.next_ if hasattr(answer, "next_") else answer.next
assert seen == 20, seen
wrong = AuthenticatedClient(base_url=sys.argv[1], token="wrong")
refused = sources_list.sync_detailed(client=wrong)
assert refused.status_code == 401, refused
assert refused.parsed.code, refused.parsed
print("done")
"""


def main():
    tools = pip("client", ["openapi-python-client==0.29.1"])
    token = "for-this-test-only-0123456789"
    with folder() as path, tideline("sources: [{ name: pushed, type: push }]\n", {"TIDELINE_API_TOKEN": token}) as to:
        (path / "config.yaml").write_text("project_name_override: tideline-client\npackage_name_override: tideline_client\npost_hooks: []\n")
        command = [tools / "openapi-python-client", "generate", "--path", to.document(), "--config", path / "config.yaml", "--output-path", path / "out"]
        made = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        said = made.stdout + made.stderr
        # The generator knows no answer of JSON lines, which a plan is; it leaves that answer out.
        others = [line for line in said.splitlines() if line.startswith("WARNING ") and "/plan " not in line]
        is_known = said.count("Unsupported content_type") == said.count("Unsupported content_type application/x-ndjson")
        check("the client is made, with a warning at most about answers of JSON lines", made.returncode == 0 and is_known and not others, said[-1500:])
        for at in range(20):
            body = {"apiVersion": "v1", "kind": "Component", "metadata": {"name": f"c{at}"}}
            pushed = ask("PUT", f"{to.url}/v1/sources/pushed/entities", {"upserts": [{"body": body}]}, {"authorization": f"Bearer {token}"})
            assert pushed.status == 200, pushed.body
        done = subprocess.run([tools / "python", "-c", USE, to.url, token], cwd=path / "out", capture_output=True, text=True)
        check("it lists sources, pages entities, follows the feed, and reads a problem", done.stdout.strip() == "done", done.stderr[-1500:])


if __name__ == "__main__":
    main()
