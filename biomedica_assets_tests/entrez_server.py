"""A local server of the E-utilities that speaks their protocol: efetch, esearch with history, error shapes, faults.

What it answers is written after real replies (the shapes of ``eSearchResult``, of rate-limit JSON, of error
envelopes); records are `article` fragments or anything a test puts in. It lives as long as its ``with`` block.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

HEAD = (
    '<?xml version="1.0" ?>\n<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN" '
    '"https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">\n'
)
SEARCH_HEAD = (
    '<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE eSearchResult PUBLIC "-//NLM//DTD esearch 20060628//EN" '
    '"https://eutils.ncbi.nlm.nih.gov/eutils/dtd/20060628/esearch.dtd">\n'
)
Parameters = dict[str, str]


def article(pmid: int, title: str = "", *, version: int = 1, revised: str = "2024-01-02", citation: str = "") -> str:
    """A small PubmedArticle; ``citation`` is XML that goes behind Article in MedlineCitation."""
    year, month, day = revised.split("-")
    return (
        f'<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM"><PMID Version="{version}">{pmid}</PMID>'
        f"<DateRevised><Year>{year}</Year><Month>{month}</Month><Day>{day}</Day></DateRevised>"
        f"<Article><ArticleTitle>{title or f'Title of {pmid}'}</ArticleTitle></Article>{citation}</MedlineCitation>"
        f'<PubmedData><ArticleIdList><ArticleId IdType="pubmed">{pmid}</ArticleId></ArticleIdList></PubmedData>'
        "</PubmedArticle>"
    )


@dataclass
class Fault:
    """What to do with requests instead: a status with headers and body, or 'cut', 'cut_chunks', 'drop'.

    ``wants`` restricts it to requests whose parameters it accepts, ``times`` counts down.
    """

    kind: int | str
    times: float = 1
    body: bytes = b""
    headers: Parameters = field(default_factory=dict)
    wants: Callable[[str, Parameters], bool] = lambda utility, parameters: True


class EntrezServer:
    """Serves ``records`` (PMID -> XML fragment) and searches ``modified`` (PMID -> day YYYY-MM-DD).

    ``merged`` maps a PMID to the one whose record is sent for it, ``deleted`` PMIDs are named at the end, ``limit``
    is how many results of a search can be seen. `log` holds (utility, method, parameters) of every request.
    """

    def __init__(self, records: dict[int, str] | None = None, modified: dict[int, str] | None = None) -> None:
        self.records, self.modified = records or {}, modified or {}
        self.merged: dict[int, int] = {}
        self.deleted: set[int] = set()
        self.limit = 9_999
        self.faults: list[Fault] = []
        self.leave_out: deque[set[int]] = deque()
        """Per efetch in turn: PMIDs that this reply lacks."""
        self.order: Callable[[list[int]], list[int]] = lambda pmids: sorted(pmids, reverse=True)
        self.log: list[tuple[str, str, Parameters]] = []
        self._history: list[list[int]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> EntrezServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                server._serve(self, path, query)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                server._serve(self, self.path, body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Clients of tests hang up in mid-reply."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/entrez/eutils/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def fetched(self) -> list[list[int]]:
        """PMIDs of every efetch."""
        return [[int(p) for p in q["id"].split(",")] for utility, _, q in self.log if utility == "efetch"]

    def _serve(self, handler: BaseHTTPRequestHandler, path: str, query: str) -> None:
        utility = path.rsplit("/", 1)[-1].removesuffix(".fcgi")
        parameters = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
        with self._lock:
            self.log.append((utility, handler.command, parameters))
            fault = next((f for f in self.faults if f.times > 0 and f.wants(utility, parameters)), None)
            if fault is not None:
                fault.times -= 1
                if isinstance(fault.kind, int):
                    _send(handler, fault.kind, fault.body, fault.headers)
                    return
            status, body = self._answer(utility, parameters)
        if fault is None:
            _send(handler, status, body, {"Content-Type": "text/xml; charset=UTF-8"})
        elif fault.kind == "drop":
            handler.close_connection = True
        elif fault.kind == "cut":  # the length is stated, half of it comes
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body[: len(body) // 2])
            handler.close_connection = True
        elif fault.kind == "cut_chunks":  # no length, as NCBI sends: a cut body looks like a whole one to HTTP
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            half = body[: len(body) // 2]
            handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(half), half))

    def _answer(self, utility: str, q: Parameters) -> tuple[int, bytes]:
        if utility == "efetch":
            return self._efetch(q)
        if utility == "esearch":
            return self._esearch(q)
        if utility == "esummary":
            return 200, b"<eSummaryResult>\n\t<ERROR>Neither query_key nor id specified</ERROR>\n</eSummaryResult>"
        return 404, b"<html><body>Not Found</body></html>"

    def _efetch(self, q: Parameters) -> tuple[int, bytes]:
        ids = [i for i in q.get("id", "").split(",") if i.isdigit() and int(i) > 0]
        if not ids:
            empty = (
                b"<eFetchResult>\n\t<ERROR>ID list is empty! Possibly it has no correct IDs.</ERROR>\n</eFetchResult>"
            )
            return 400, empty
        left_out = self.leave_out.popleft() if self.leave_out else set()
        asked = [int(i) for i in ids]
        numbers = [self.merged.get(pmid, pmid) for pmid in asked if pmid not in left_out]
        parts = [self.records[pmid] for pmid in self.order(numbers) if pmid in self.records]
        gone = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in asked if pmid in self.deleted)
        tail = f"<DeleteCitation>{gone}</DeleteCitation>" if gone else ""
        return 200, f"{HEAD}<PubmedArticleSet>\n{''.join(parts)}{tail}\n</PubmedArticleSet>".encode()

    def _esearch(self, q: Parameters) -> tuple[int, bytes]:
        start, size = int(q.get("retstart", 0)), int(q.get("retmax", 20))
        if "WebEnv" in q:
            key = int(q["term"].removeprefix("#"))
            if q["WebEnv"] != "MCID_test" or not 0 < key <= len(self._history):
                return 200, b"<eSearchResult><ERROR>Unable to obtain query #1</ERROR></eSearchResult>"
            found = self._history[key - 1]
        else:
            match = re.fullmatch(r'\("([\d/]+)"\[mdat\] : "([\d/]+)"\[mdat\]\) AND (\d+):(\d+)\[uid\]', q["term"])
            if match is None:
                wrong = f"<ErrorList><FieldNotFound>{escape(q['term'])}</FieldNotFound></ErrorList>"
                return 200, f"<eSearchResult><Count>0</Count><IdList/>{wrong}</eSearchResult>".encode()
            first, last = match[1].replace("/", "-"), match[2].replace("/", "-")
            within = range(int(match[3]), int(match[4]) + 1)
            found = sorted(
                (p for p, day in self.modified.items() if first <= day <= last and p in within), reverse=True
            )
            self._history.append(found)
            key = len(self._history)
        page = found[: self.limit][start : start + size]
        history = f"<QueryKey>{key}</QueryKey><WebEnv>MCID_test</WebEnv>" if q.get("usehistory") == "y" else ""
        ids = "".join(f"<Id>{pmid}</Id>\n" for pmid in page)
        body = (
            f"{SEARCH_HEAD}<eSearchResult><Count>{len(found)}</Count><RetMax>{len(page)}</RetMax>"
            f"<RetStart>{start}</RetStart>{history}<IdList>\n{ids}</IdList><TranslationSet/></eSearchResult>"
        )
        return 200, body.encode()


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: Parameters) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
