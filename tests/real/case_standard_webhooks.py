"""Webhooks signed by the libraries standardwebhooks of npm and PyPI into /hooks; push subscriptions verified by them."""

import base64
import json
import secrets
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from real import HERE, ask, check, node, npm, pip, tideline, until

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
OLD_SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()

SEND = """
import json, sys, urllib.error, urllib.request
from datetime import datetime, timedelta, timezone
from standardwebhooks import Webhook
url, secret, id, shift = sys.argv[1:]
at = datetime.now(tz=timezone.utc) + timedelta(seconds=float(shift))
body = json.dumps({"type": "invoice.paid", "timestamp": at.isoformat(), "data": {"id": "inv_1", "note": "ünïcode"}})
headers = {"content-type": "application/json", "webhook-id": id, "webhook-timestamp": str(int(at.timestamp())),
           "webhook-signature": Webhook(secret).sign(id, at, body)}
request = urllib.request.Request(url, data=body.encode(), headers=headers, method="POST")
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as refused:
    print(refused.code)
"""

VERIFY = """
import json, sys
from standardwebhooks import Webhook
secret, lines = sys.argv[1], sys.stdin.read().splitlines()
for line in lines:
    one = json.loads(line)
    Webhook(secret).verify(one["body"], one["headers"])
print(len(lines))
"""


class Receiver(ThreadingHTTPServer):
    """Keeps what it was sent, and answers 500 to the first request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.received = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append({"body": body, "headers": headers})
        self.send_response(500 if len(self.server.received) == 1 else 204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def pushes(to, python):
    """What a push subscription sends, with its first request answered 500."""
    receiver = Receiver()
    url = f"http://127.0.0.1:{receiver.server_address[1]}/in"
    wanted = {"topics": ["ci.*"], "from": "beginning", "push": {"url": url, "secret": SECRET}}
    made = ask("PUT", f"{to.url}/v1/subscriptions/out", wanted)
    check("a push subscription is made", made.status in (200, 201), made.body)

    def all_there():
        ids = [one["headers"].get("webhook-id") for one in receiver.received]
        return len(set(ids)) >= 4 and len(ids) >= 5

    until("the events are pushed, the first one twice", all_there, 60)
    lines = "\n".join(json.dumps(one) for one in receiver.received)
    done = subprocess.run([python, "-c", VERIFY, SECRET], input=lines, capture_output=True, text=True)
    check("each push is verified by the library of PyPI", done.returncode == 0, done.stderr[-500:])
    first = receiver.received[0]["headers"]["webhook-id"]
    again = [one for one in receiver.received if one["headers"]["webhook-id"] == first]
    check("the push that was answered 500 came again with the same id", len(again) >= 2, len(again))


def main():
    packages, python = npm("standard", ["standardwebhooks@1.1.1"]), pip("standard", ["standardwebhooks==1.1.0"]) / "python"
    script = packages / "send_standard.mjs"
    script.write_text((HERE / "js" / "send_standard.mjs").read_text())
    config = """
hooks: [{ name: ci, provider: standard, secret: "${OLD}", next_secret: "${NEW}" }]
subscriptions: { allow_networks: [127.0.0.0/8], allow_http: true, backoff: [1s, 1s] }
"""
    seal = base64.b64encode(secrets.token_bytes(32)).decode()
    with tideline(config, {"OLD": OLD_SECRET, "NEW": SECRET, "TIDELINE_SECRET_KEY": seal}) as to:
        url = f"{to.url}/hooks/ci"

        def send(library, secret, id, shift=0):
            command = [node(packages), script] if library == "npm" else [python, "-c", SEND]
            done = subprocess.run([*command, url, secret, id, str(shift)], capture_output=True, text=True, cwd=packages)
            return done.stdout.strip() or done.stderr[-300:]

        wrong = "whsec_" + base64.b64encode(b"x" * 32).decode()
        for library in ("npm", "PyPI"):
            check(f"{library}: its signature is accepted", send(library, SECRET, f"msg_{library}") == "202")
            check(f"{library}: one by the other secret of a rotation too", send(library, OLD_SECRET, f"msg_{library}_old") == "202")
            check(f"{library}: with a wrong secret it is 401", send(library, wrong, f"msg_{library}_wrong") == "401")
            check(f"{library}: an hour old it is 401", send(library, SECRET, f"msg_{library}_late", -3600) == "401")
            check(f"{library}: sent again, it is accepted", send(library, SECRET, f"msg_{library}") == "202")
        events = [event["topic"] for event in to.events() if event["topic"].startswith("ci.")]
        check("each accepted one is in the log once, by its type", events == ["ci.invoice.paid"] * 4, events)
        pushes(to, python)


if __name__ == "__main__":
    main()
