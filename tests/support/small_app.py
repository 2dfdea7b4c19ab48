"""An inference app of a few lines, which starts in a moment."""

APP = """
import http.server, json, os, pathlib
words = pathlib.Path(__file__).with_name("words.txt").read_text()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"ready": True, "stage": "ready", "detail": words, "key": os.environ.get("AITK_API_KEY"),
                           "word": os.environ.get("WORD")}).encode()
        self.send_response(200 if self.path in ("/health", "/ready") else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *about):
        print("asked for", self.path, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["CONTAINER_APP_PORT"])), Answer).serve_forever()
"""

THAT_TELLS = APP.replace(
    "        body =",
    """        if self.path == "/version":
            return self.tell()
        body =""",
).replace(
    "    def log_message",
    """    def tell(self):
        import hashlib
        folder = pathlib.Path(__file__).parent
        code = {f"inference/{one.name}": hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.iterdir()}
        body = json.dumps({"code": code, "replica": os.environ["CONTAINER_APP_REPLICA_NAME"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message""",
)
"""The same, with a page /version that tells what runs, as ours does."""

OF_ANOTHER_MAKE = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/", "/health") else 404)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"Hello")
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["CONTAINER_APP_PORT"])), Answer).serve_forever()
"""

THAT_LOADS = """
import http.server, json, os
class Answer(http.server.BaseHTTPRequestHandler):
    looks = 0
    def do_GET(self):
        if self.path != "/ready":
            return self.answer(200 if self.path == "/health" else 404, {})
        Answer.looks += 1
        if Answer.looks > 1:
            return self.answer(200, {"ready": True, "stage": "ready"})
        self.answer(503, {"ready": False, "stage": "loading weights", "progress": {"done": 1, "total": 2}})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200 if Answer.looks > 1 else 503, {"choices": [{"message": {"content": "Ahoy, captain!"}}]})
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(json.dumps(body))))
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["CONTAINER_APP_PORT"])), Answer).serve_forever()
"""
"""Loads until somebody has seen it: the first look at /ready finds it loading weights, every later one ready."""
