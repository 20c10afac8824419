"""An endpoint that speaks the chat completions protocol, on loopback, with a bounded life, and the worlds to ask about.

``python -m biomedica_assets_tests.quality.endpoint STORE URL`` asks it about a store from a process of its own, to be
killed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import escape

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from biomedica_assets.settings import Settings
from biomedica_assets_tests.ingest.releases import Art

LIFE_SECONDS = 300
STUDY = {"type": "study", "domain": "biomedical", "score": 3}

Reply = dict[str, Any] | str | int
"""A label, the content of an answer as it is, a status, or one of `CUT`, `HANG`, `WEB_PAGE`."""
CUT, HANG, WEB_PAGE, TRUNCATED, REFUSED = "<cut>", "<hang>", "<page>", "<truncated>", "<refused>"


class Endpoint:
    """What was asked, and what is answered: ``reply(text, n)`` to the n-th question (from 0) about a text."""

    def __init__(self, reply: Callable[[str, int], Reply]) -> None:
        self.reply = reply
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.times: list[float] = []
        self.refused_options: set[str] = set()
        self.url = ""
        self._lock = threading.Lock()
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self._answer)

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        text = body["messages"][1]["content"].split("<paragraph>\n")[1].removesuffix("\n</paragraph>")
        with self._lock:
            number = self.asked[text]
            self.asked[text] += 1
            self.bodies.append(body)
            self.keys.add(request.headers.get("authorization", ""))
            self.times.append(time.monotonic())
        for name in self.refused_options & body.keys():
            error = {"message": f"Unsupported parameter: '{name}'", "type": "invalid_request_error", "param": name}
            return JSONResponse({"error": error}, 400)
        reply = self.reply(text, number)
        if reply == CUT:
            return StreamingResponse(_cut(), media_type="application/json")
        if reply == HANG:
            await asyncio.sleep(3)
            reply = STUDY
        if reply == WEB_PAGE:
            return Response("<html>sign in</html>", media_type="text/html")
        if isinstance(reply, int):
            error = {"message": f"status {reply}", "type": "error", "code": None}
            return JSONResponse({"error": error}, reply, headers={"retry-after-ms": "10"})
        message: dict[str, Any] = {
            "role": "assistant",
            "content": reply if isinstance(reply, str) else json.dumps(reply),
        }
        reason = "stop"
        if reply == TRUNCATED:
            message["content"], reason = '{"type": "stu', "length"
        if reply == REFUSED:
            message |= {"content": None, "refusal": "I would rather not."}
        return JSONResponse(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
                "usage": {"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420},
            }
        )


async def _cut() -> Any:
    yield b'{"id": "chatcmpl-1", "object": "chat.comp'
    raise ConnectionResetError("cut on purpose")


@contextmanager
def serving(endpoint: Endpoint) -> Iterator[Endpoint]:
    """Serve it on a free port of loopback."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        endpoint.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        server = uvicorn.Server(uvicorn.Config(endpoint.app, log_level="critical"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        end = threading.Timer(LIFE_SECONDS, lambda: setattr(server, "should_exit", True))
        end.daemon = True
        end.start()
        thread.start()
        try:
            yield endpoint
        finally:
            end.cancel()
            server.should_exit = True
            thread.join(10)


def article(pmcid: int, *sections: tuple[str, tuple[str, ...]], article_type: str = "research-article") -> Art:
    """An article of sections (title, paragraphs), without figures."""
    body = "".join(
        f"<sec><title>{escape(title)}</title>" + "".join(f"<p>{escape(text)}</p>" for text in texts) + "</sec>"
        for title, texts in sections
    )
    return Art(
        pmcid,
        xml=f"""<article article-type="{article_type}"><front>
<journal-meta><journal-title>J</journal-title></journal-meta><article-meta>
<article-id pub-id-type="pmcid">PMC{pmcid}</article-id>
<article-id pub-id-type="pmcid-ver">PMC{pmcid}.1</article-id>
<title-group><article-title>Title {pmcid}</article-title></title-group>
<pub-date pub-type="epub"><year>2020</year></pub-date></article-meta></front>
<body>{body}</body></article>""".encode(),
    )


def teacher_settings(store: str, url: str, **given: Any) -> Settings:
    """Settings of a store with this endpoint as teacher."""
    return Settings(
        store=store, teacher_url=url, teacher_model="judge-1", teacher_key="secret", _env_file=None, **given
    )


if __name__ == "__main__":
    from biomedica_assets.quality.collect import collect_teacher_labels
    from biomedica_assets.store.files import Files

    collect_teacher_labels(Files(sys.argv[1]), teacher_settings(sys.argv[1], sys.argv[2], teacher_concurrency=2))
