"""The command of test replicas: a small web app of the standard library."""

import hashlib
import http.server
import json
import os
import threading
from pathlib import Path


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    holding = threading.Event()

    def do_GET(self):
        if self.path == "/health":
            sick = (Path(os.environ["AITK_SHARE"]) / "sick").exists()
            self.reply(503 if sick else 200, b"ok")
        elif self.path == "/about":
            self.reply(200, json.dumps({**os.environ, "pid": str(os.getpid())}).encode())
        elif self.path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.chunk(b"data: first\n\n")
            self.holding.wait(30)
            self.chunk(b"data: second\n\n")
            self.chunk(b"")
        elif self.path == "/exit":
            self.reply(200, b"ends")
            os.write(1, b"the app was told to end\n")
            os._exit(3)
        else:
            self.reply(200, json.dumps({"path": self.path, "headers": dict(self.headers)}).encode())

    def do_POST(self):
        if self.path == "/release":
            self.holding.set()
            self.reply(200, b"released")
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(200, hashlib.sha256(body).hexdigest().encode())

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_about):
        pass


os.write(1, b"the app starts\n")
address = (os.environ.get("AITK_HOST", "0.0.0.0"), int(os.environ["CONTAINER_APP_PORT"]))
http.server.ThreadingHTTPServer(address, Answers).serve_forever()
