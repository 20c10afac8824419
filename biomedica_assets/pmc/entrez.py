"""NCBI's E-utilities: requests that keep to NCBI's rules, and PubMed records joined by the PMID they state.

Source of the rules: https://www.ncbi.nlm.nih.gov/books/NBK25497/ (address, rates, tool and email) and NBK25499
(parameters, history server). What does not belong here: the XML of the replies (`pubmed`), what is done with records.

Biopython's Entrez forms the requests (tool, email, key, id lists, POST). It is not asked to send them: it knows one
address only, waits for a reply without a time limit, and repeats a request that met a 429 or 5xx at once.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from Bio import Entrez
from lxml import etree

from biomedica_assets.pmc.pubmed import ErrorReply, PubmedReply, UnreadableReply, read_pubmed, read_search
from biomedica_assets.schemas import Row

NCBI_URL = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/"
TOOL = "biomedica_assets"
BATCH = 200
"""PMIDs per efetch."""
SEARCH_LIMIT = 9_999
"""esearch shows no more records than these of one PubMed search, in however many pages."""
SEARCH_PAGE = 5_000
MAX_REPLY_BYTES = 256 << 20
_SECONDS_BETWEEN = {False: 0.37, True: 0.11}
"""Without and with an API key: a little slower than the 3 and 10 requests per second that NCBI allows."""

Reply = tuple[int, str | None, bytes]
"""HTTP status, Retry-After header, body."""
Transport = Callable[[urllib.request.Request, float], Reply]
"""Sends a request within so many seconds. Raises OSError or http.client.HTTPException when the network fails."""
_T = TypeVar("_T")


class EntrezError(Exception):
    """The E-utilities gave no usable reply."""


class EntrezUnavailable(EntrezError):  # noqa: N818
    """NCBI or the network is down, overloaded or wants a longer pause: the same request may work later.

    ``retry_after``: seconds that NCBI asked to wait, null when it did not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EntrezRefused(EntrezError):  # noqa: N818
    """The request is refused and will be refused again: a bad key, term, address. The message is NCBI's."""


@dataclass(frozen=True)
class Patience:
    """How long a request is tried. Times in seconds; waits double from ``first_wait`` to ``longest_wait``, jittered."""

    tries: int = 7
    unreadable_tries: int = 3
    timeout: float = 120
    first_wait: float = 1
    longest_wait: float = 60
    longest_retry_after: float = 300
    between: float | None = None
    """Between the starts of two requests; default as NCBI wants it."""


class EntrezClient:
    """One user's requests to the E-utilities.

    Args:
        email: address that NCBI writes to before it blocks someone; may be empty for servers other than NCBI's.
        api_key: raises the rate from 3 to 10 requests per second.
        url: base address; default NCBI's.
        transport: what sends requests; default HTTP without redirects, which would turn a POST into an empty GET.
        patience: limits of repeating.

    Raises:
        ValueError: the address is not http(s).
    """

    def __init__(
        self,
        email: str,
        *,
        api_key: str | None = None,
        url: str | None = None,
        transport: Transport | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.email, self.api_key = email, api_key or None
        self.url = (url or NCBI_URL).rstrip("/") + "/"
        self.patience = patience or Patience()
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"{self.url} is no http(s) address of the E-utilities")
        self._transport = transport or _send_http
        between = self.patience.between
        self._between = _SECONDS_BETWEEN[self.api_key is not None] if between is None else between
        self.requests = 0
        self.bytes = 0

    def fetch(self, pmids: Sequence[int]) -> PubmedReply:
        """The records of these PMIDs in one POST, in whatever order and number NCBI sends them.

        Raises:
            EntrezUnavailable, EntrezRefused: see there.
            UnreadableReply: the reply stayed cut or damaged however often it was asked for.
        """
        ids = ",".join(map(str, pmids))
        try:
            return self._ask("efetch", {"db": "pubmed", "id": ids, "retmode": "xml"}, read_pubmed)
        except EntrezRefused as error:
            if "ID list is empty" in str(error):  # none of these ids can be a PMID
                return PubmedReply()
            raise

    def search(self, term: str) -> list[int] | None:
        """All PMIDs that a PubMed search finds, ascending; None when PubMed does not show all that it counts.

        Further pages come from the history server: they belong to the first reply's set even when PubMed has changed
        in between.

        Raises:
            EntrezUnavailable, EntrezRefused: see there.
            UnreadableReply: the reply stayed cut or damaged.
        """
        asked: dict[str, Any] = {"db": "pubmed", "term": term, "usehistory": "y", "retmax": SEARCH_PAGE, "retstart": 0}
        reply = first = self._ask("esearch", asked, read_search)
        if first.count > SEARCH_LIMIT:
            return None
        found = list(first.pmids)
        while reply.pmids and len(found) < first.count and first.web_env and first.query_key:
            page = asked | {"term": f"#{first.query_key}", "WebEnv": first.web_env, "retstart": len(found)}
            reply = self._ask("esearch", page, read_search)
            found += reply.pmids
        return sorted(found) if len(set(found)) == first.count else None

    def _ask(self, utility: str, parameters: Mapping[str, Any], read: Callable[[bytes], _T]) -> _T:
        """Send until there is a reply that can be read."""
        keywords = {"tool": TOOL, "email": self.email, "api_key": self.api_key, **parameters}
        request = Entrez._build_request(f"{self.url}{utility}.fcgi", keywords, post=True)
        patience, unreadable = self.patience, 0
        problem: Exception = EntrezUnavailable("never asked")
        for attempt in range(patience.tries):
            if attempt:
                self._pause(utility, problem, attempt)
            _take_turn(self.url, self._between)
            self.requests += 1
            try:
                status, retry_after, body = self._transport(request, patience.timeout)
            except (OSError, http.client.HTTPException) as error:
                problem = EntrezUnavailable(f"{utility}: {type(error).__name__}: {error}")
                continue
            self.bytes += len(body)
            try:
                if status != 200:
                    raise ErrorReply(_message_of(status, body))
                return read(body)
            except UnreadableReply as error:
                problem, unreadable = error, unreadable + 1
                if unreadable >= patience.unreadable_tries:
                    raise
            except ErrorReply as error:
                message = str(error).replace(self.api_key or "\0", "<key>")
                if not _may_pass(status, message):
                    raise EntrezRefused(f"{utility} refused: {message}") from None
                problem = EntrezUnavailable(f"{utility}: {message}", _seconds(retry_after))
        raise problem

    def _pause(self, utility: str, problem: Exception, attempt: int) -> None:
        """Wait as long as NCBI asks, else twice as long as before, with jitter so that clients come back one by one."""
        patience = self.patience
        asked = problem.retry_after if isinstance(problem, EntrezUnavailable) else None
        if asked is not None and asked > patience.longest_retry_after:
            raise EntrezUnavailable(f"{utility}: NCBI asks to wait {asked:.0f} s; {problem}")
        wait = min(patience.longest_wait, patience.first_wait * 2 ** (attempt - 1))
        time.sleep(max(wait * random.uniform(0.5, 1), asked or 0))


def fetch_records(client: EntrezClient, pmids: Iterable[int]) -> Iterator[Row]:
    """One row per PMID, in the given order (they must be distinct): what PubMed holds under it, or why nothing.

    A record belongs to the PMID that stands in it, never to the one at the same place of the request. ``outcome``:
    ``found``; ``merged`` (the PMID, asked for alone, is answered with another record); ``deleted``; ``missing``;
    ``unreadable`` (the reply for this PMID alone stays damaged). Of a record that comes several times the highest
    version, then the newest revision, counts.

    Raises:
        EntrezUnavailable, EntrezRefused: see there; rows given so far are good.
    """
    numbers = iter(pmids)
    while batch := list(islice(numbers, BATCH)):
        rows = _fetch_batch(client, batch)
        yield from (rows[pmid] for pmid in batch)


def _fetch_batch(client: EntrezClient, pmids: list[int], *, last: bool = False) -> dict[int, Row]:
    try:
        reply = client.fetch(pmids)
    except UnreadableReply as error:
        if len(pmids) == 1:
            return {pmids[0]: {"pmid": pmids[0], "outcome": "unreadable", "reason": str(error)}}
        half = len(pmids) // 2  # one record that cannot be served must not take the others with it
        return _fetch_batch(client, pmids[:half], last=last) | _fetch_batch(client, pmids[half:], last=last)
    rows: dict[int, Row] = {}
    strangers: dict[int, Row] = {}
    for record in sorted(reply.records, key=_age):
        pmid = record["record_pmid"]
        if pmid in pmids:
            rows[pmid] = {"pmid": pmid, "outcome": "found", **record}
        else:
            strangers[pmid] = record
    for pmid in set(pmids) & set(reply.deleted) - rows.keys():
        rows[pmid] = {"pmid": pmid, "outcome": "deleted", "reason": "PubMed has deleted the record"}
    absent = [pmid for pmid in pmids if pmid not in rows]
    if absent and not last:
        # Replies may lack records that exist. Only a PMID that is asked for alone can be told from its neighbours.
        for again in [[pmid] for pmid in absent] if strangers else [absent]:
            rows |= _fetch_batch(client, again, last=True)
    elif absent and len(pmids) == len(strangers) == 1:
        (number, record), (pmid,) = *strangers.items(), pmids
        rows[pmid] = {"pmid": pmid, "outcome": "merged", "reason": f"PubMed answers with PMID {number}", **record}
    else:
        reason = "PubMed has no record, asked for twice"
        rows |= {pmid: {"pmid": pmid, "outcome": "missing", "reason": reason} for pmid in absent}
    return rows


def _age(record: Row) -> tuple[int, str]:
    return record.get("record_version") or 0, record.get("date_revised") or ""


def modified_pmids(client: EntrezClient, day: str, held: Sequence[int] | np.ndarray) -> Iterator[int]:
    """Those of the ascending, distinct PMIDs ``held`` whose record PubMed modified on ``day`` (YYYY-MM-DD), ascending.

    A search that finds more than PubMed shows is halved by PMID. Where a range holds no more PMIDs than one request
    fetches, all of them are given: reading them costs no more than another search. So a day that touches all of
    PubMed costs at most about two requests per `BATCH` held PMIDs.

    Raises:
        EntrezUnavailable, EntrezRefused, UnreadableReply: see `EntrezClient.search`.
    """
    if not len(held):
        return
    date = day.replace("-", "/")
    found = client.search(f'("{date}"[mdat] : "{date}"[mdat]) AND {held[0]}:{held[-1]}[uid]')
    if found is not None:
        yield from np.intersect1d(np.asarray(held), np.asarray(found, dtype=np.int64), assume_unique=True).tolist()
    elif len(held) <= BATCH:
        yield from np.asarray(held).tolist()
    else:
        half = len(held) // 2
        yield from modified_pmids(client, day, held[:half])
        yield from modified_pmids(client, day, held[half:])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _send_http(request: urllib.request.Request, timeout: float) -> Reply:
    try:
        with _OPENER.open(request, timeout=timeout) as response:
            body = response.read(MAX_REPLY_BYTES)
            return response.status, None, body
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Retry-After"), error.read(1 << 16)


_turns: dict[str, float] = {}
_turn_lock = threading.Lock()


def _take_turn(url: str, between: float) -> None:
    """Wait until a request to this address may start; all clients of this process share the turns."""
    with _turn_lock:
        now = time.monotonic()
        start = max(now, _turns.get(url, 0) + between)
        _turns[url] = start
    time.sleep(start - now)


_TRANSIENT = re.compile(
    r"proxy_stream|backend|bad gateway|failed to connect|unable to obtain|temporar|timed? ?out|try again|unavailable"
    r"|rate limit|database is not supported|server error",
    re.IGNORECASE,
)


def _may_pass(status: int, message: str) -> bool:
    """NCBI reports overload and faults behind its servers with 400 and 200 as well; only the words tell."""
    return status in (408, 429) or status >= 500 or bool(_TRANSIENT.search(message))


def _message_of(status: int, body: bytes) -> str:
    """What an error page says, short: NCBI sends JSON, XML or HTML. The JSON also holds the key, so only its words."""
    text = body.decode("utf-8", "replace")
    try:
        said = json.loads(text)
        text = str(said.get("error", "")) if isinstance(said, dict) else ""
    except ValueError:
        root = etree.fromstring(body, etree.HTMLParser(no_network=True)) if body.strip() else None
        text = " ".join(map(str, root.itertext())) if root is not None else ""
    return f"HTTP {status} {' '.join(text.split())[:300]}".strip()


def _seconds(retry_after: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; it is a number or a date (RFC 9110, 10.2.3)."""
    value = (retry_after or "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
