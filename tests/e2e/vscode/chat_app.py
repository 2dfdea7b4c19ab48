"""An inference app of a few lines that chats by script: it stands where inference/start.py does."""

import http.server
import json
import os
from typing import Any

KEY = os.environ.get("AITK_API_KEY")


def answer_to(request: dict[str, Any]) -> list[dict[str, Any]]:
    """A tool is called when there is one; what came of it, or what was asked, is repeated."""
    last = request["messages"][-1]
    if request.get("tools") and last["role"] == "user":
        function = {"name": request["tools"][0]["function"]["name"], "arguments": '{"at": "sea"}'}
        return [{"tool_calls": [{"index": 0, "id": "call-1", "function": function}]}]
    return [{"content": "Ahoy! "}, {"content": f"{last['role']}: {last['content']}"}]


class Answer(http.server.BaseHTTPRequestHandler):
    """`/ready`, `/v1/models` and streamed chat completions; "forever" is answered until nobody listens."""

    def do_GET(self) -> None:
        models = [{"id": "org/base", "max_model_len": 4096}, {"id": "pirate", "parent": "org/base"}]
        bodies = {"/health": {}, "/ready": {"ready": True, "stage": "ready"}, "/v1/models": {"data": models}}
        body = json.dumps(bodies.get(self.path, {})).encode()
        self.send_response(200 if self.path in bodies else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        allowed = self.headers["Authorization"] == f"Bearer {KEY}"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta in answer_to(request):
            self.event({"choices": [{"delta": delta}]})
        while "forever" in str(request["messages"][-1]["content"]):
            self.event({"choices": [{"delta": {"content": "and on "}}]})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, event: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_about: object) -> None:
        """Nothing: the log is not looked at."""


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["CONTAINER_APP_PORT"])), Answer).serve_forever()
