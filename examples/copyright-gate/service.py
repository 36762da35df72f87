"""A copyright service for trying the gate: it knows the works in works.json and compares hashes with theirs.

    python service.py                  # http://127.0.0.1:8731, the works in works.json beside it
    python service.py 8731 works.json

It speaks the interface that `media/copyright-check` speaks to a real one: POST /v1/check-copyright with `image_hash`
(64-bit perceptual hash, 16 hex digits) gives `status`, `matches` and `rights`.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mirror_realm.tasks.imaging.hashing import similarity

FROM = 0.6
"""Similarity from which a work is told; below it, any two pictures are alike."""
FREE = {"allowed_purposes": ["any"], "allowed_regions": ["global"]}
LARGEST = 1 << 20


class Service(ThreadingHTTPServer):
    """The service on ``port`` of this machine (0 takes a free one), with the works of a file."""

    daemon_threads = True

    def __init__(self, port: int, works: Path) -> None:
        self.works: list[dict[str, Any]] = json.loads(works.read_text(encoding="utf-8"))
        super().__init__(("127.0.0.1", port), _Handler)

    def answer(self, image_hash: str) -> dict[str, Any]:
        """The works that look like a picture with this hash, the most similar first, and what may be done with it."""
        found = sorted(
            ({**work, "similarity": round(similarity(work["phash"], image_hash), 6)} for work in self.works),
            key=lambda work: -work["similarity"],
        )
        matches = [work for work in found if work["similarity"] >= FROM]
        return {
            "status": "success",
            "matches": [
                {key: work[key] for key in ("id", "title", "similarity", "rights_holders")}
                for work in matches
            ],
            "rights": matches[0]["rights"] if matches else FREE,
        }


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if self.path != "/v1/check-copyright" or length > LARGEST:
            return self._send(404, {"status": "error", "message": "POST /v1/check-copyright"})
        try:
            answer = self.server.answer(json.loads(self.rfile.read(length))["image_hash"])
        except (ValueError, KeyError, TypeError):
            return self._send(400, {"status": "error", "message": "image_hash must be 16 hex digits"})
        return self._send(200, answer)

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(arguments: list[str]) -> None:
    """Serve until Ctrl-C."""
    port = int(arguments[0]) if arguments else 8731
    works = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).with_name("works.json")
    with Service(port, works) as service:
        print(
            f"{len(service.works)} works on http://127.0.0.1:{service.server_port}; Ctrl-C ends it",
            flush=True,
        )
        try:
            service.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main(sys.argv[1:])
