"""The source `terraform` and the fake of HCP Terraform, with Prism and HashiCorp's own document between them: no request and no answer
breaks it, and through it Tideline reads what it reads without it."""

import json
import os
from pathlib import Path

from real import ROOT, check, export, fake, folder, prism_proxy, skip

DOCUMENT = ROOT.parent / "shared" / "data" / "terraform" / "hcp-terraform-openapi-v2.2.0.json"
DOCUMENT = Path(os.environ.get("TIDELINE_REAL_TERRAFORM", DOCUMENT))
TOKEN = "tfc-token-0123456789"


def source(url, archive):
    # States are downloaded from their signed addresses, which no document describes: past Prism.
    return f"""
  - name: infra
    type: terraform
    organization: acme
    base_url: {url}
    auth: {{ bearer: {TOKEN} }}
    download_hosts: ["{archive.removeprefix('http://')}"]
    burst: {{ interval: 0s }}
    max_requests_per_second: none
"""


def mended(value):
    """The document says that what is null or of one schema is of both at once, which nothing is."""
    if isinstance(value, list):
        return [mended(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {name: mended(item) for name, item in value.items()}
    if value.get("nullable") is True and "allOf" in value:
        return {"anyOf": [{"allOf": value["allOf"]}, {"type": "object", "nullable": True, "enum": [None]}]}
    return value


def main():
    if not DOCUMENT.is_file():
        skip("HashiCorp's OpenAPI document is not there: name it by TIDELINE_REAL_TERRAFORM")
    with folder() as path:
        document = mended(json.loads(DOCUMENT.read_text()))
        # The document leaves out what all its paths begin with.
        document["paths"] = {f"/api/v2{name}": item for name, item in document["paths"].items()}
        whole = path / "terraform.json"
        whole.write_text(json.dumps(document))
        with fake("terraform", path) as upstream, prism_proxy(whole, upstream, path) as url:
            direct = export(path / "direct", source(upstream, upstream))
            checked = export(path / "checked", source(url, upstream))
            # Entities link to where they were read.
            checked = json.loads(json.dumps(checked).replace(url, upstream))
            kinds = sorted({entity["kind"] for entity in direct})
            check(f"there are workspaces and resources ({len(direct)} entities)", kinds == ["Resource", "System"], kinds)
            differ = [pair for pair in zip(direct, checked) if pair[0] != pair[1]]
            check("through Prism they are the same", checked == direct, (len(checked), len(direct), differ[:1]))


if __name__ == "__main__":
    main()
