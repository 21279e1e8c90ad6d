"""What HashiCorp's Python client sees, as JSON: `terraform.py URL TOKEN`. The serial of the current state of each workspace."""

import json
import sys

from pytfe import TFEClient, TFEConfig
from pytfe.errors import NotFound

client = TFEClient(TFEConfig(address=sys.argv[1], token=sys.argv[2], max_retries=0, http2=False))
serials = {}
for workspace in client.workspaces.list("acme"):
    try:
        serials[workspace.name] = client.state_versions.read_current(workspace.id).serial
    except NotFound:
        serials[workspace.name] = None
print(json.dumps(serials))
