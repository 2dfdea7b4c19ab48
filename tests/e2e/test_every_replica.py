"""A deploy to several replicas ends when each of them has said what it loaded."""

import json
import time
import urllib.request

from tests.support.resource_manager import arm, config, set_parameters
from tests.support.waiting import wait_for

APP = """
import hashlib, http.server, json, os, pathlib, time
share, asked = pathlib.Path(os.environ["AITK_SHARE"]), 0
code = {f"inference/{p.name}": hashlib.sha256(p.read_bytes()).hexdigest() for p in (share / "inference").iterdir()}
replica = os.environ["CONTAINER_APP_REPLICA_NAME"]
try:
    (share / f"first-of-{os.environ['CONTAINER_APP_REVISION']}").mkdir()
except FileExistsError:
    time.sleep(8)  # the second is slow to start
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += self.path == "/version"
        body = json.dumps({"ready": True, "stage": "ready", "replica": replica, "code": code, "asked": asked}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["CONTAINER_APP_PORT"])), Answer).serve_forever()
"""


def test_deploy_ends_when_every_replica_has_reported(small):
    """Two replicas, one of them slow: both were asked, and both have the new files."""
    app = arm(small, "GET", None)
    without_gpu = {"location": app["location"], "properties": {"workloadProfileName": "Consumption"}}
    arm(small, "PATCH", without_gpu)  # so that two may run
    set_parameters(small, minimumInstanceCount=2, maximumInstanceCount=2)
    (small.folder / "inference/start.py").write_text(APP)
    began = time.monotonic()
    done = small.json("deploy")
    seen = {}

    def both_seen():
        told = ready(small)
        seen[told["replica"]] = told
        return len(seen) == 2

    wait_for(both_seen)
    assert done["action"] == "new revision"
    assert time.monotonic() - began > 8
    assert all(told["asked"] > 0 for told in seen.values())
    assert len({json.dumps(told["code"]) for told in seen.values()}) == 1


def ready(road):
    with urllib.request.urlopen(f"{json.loads(config(road))['ACA_APP_ENDPOINT']}/ready", timeout=60) as answer:
        return json.load(answer)
