"""The report on agreement: numbers as JSON, and one HTML page that needs nothing else.

``concepts/agreement.json`` names the page, ``concepts/files/agreement-<hash>.html``. What does not belong here: how
agreement is measured (`agreement`) and drawn (`agreement_plots`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import jinja2
import pyarrow.parquet as pq

from biomedica_assets.labels import agreement_plots
from biomedica_assets.labels.agreement import AxisAgreement, measure_agreement
from biomedica_assets.labels.consensus import Consensus
from biomedica_assets.labels.outcomes import ConsensusRecord, read_consensus
from biomedica_assets.labels.taxonomy import Taxonomy
from biomedica_assets.labels.vote_log import from_row
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile

POINTER = "concepts/agreement.json"
DISPUTED = 100


@dataclass(frozen=True)
class Plots:
    """PNGs; ``labels`` and ``confusions`` by axis, where there is something to show."""

    coefficients: bytes
    outcomes: bytes
    annotators: bytes | None
    labels: dict[str, bytes] = field(default_factory=dict)
    confusions: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Agreement:
    """Everything that is known about the agreement of one consensus."""

    record: ConsensusRecord
    measured: list[AxisAgreement]
    outcomes: list[Consensus]

    @cached_property
    def by_status(self) -> dict[str, dict[str, int]]:
        """How many targets ended in which status, by axis."""
        found: dict[str, dict[str, int]] = {one.axis: {} for one in self.measured}
        for one in self.outcomes:
            found[one.axis][one.status] = found[one.axis].get(one.status, 0) + 1
        return found

    @cached_property
    def disputed(self) -> list[Consensus]:
        """Outcomes of two or more annotators who did not all say the same, the least agreed ones first."""
        unlike = [one for one in self.outcomes if one.n_votes > 1 and (one.share < 1 or one.n_unsure or one.coarse)]
        order = {name: place for place, name in enumerate(("tie", "mixed", "unsure", "agreed", "single"))}
        return sorted(unlike, key=lambda one: (order[one.status], one.share, one.target, one.axis))

    @cached_property
    def plots(self) -> Plots:
        """The pictures of the report."""
        names = sorted({name for one in self.outcomes for name in one.annotators})
        return Plots(
            agreement_plots.coefficients(self.measured),
            agreement_plots.outcomes(self.by_status),
            agreement_plots.annotators(self.measured, names) if len(names) > 1 else None,
            {one.axis: agreement_plots.labels(one) for one in self.measured if one.labels},
            {one.axis: agreement_plots.confusions(one) for one in self.measured if one.confusions},
        )

    def numbers(self) -> dict[str, Any]:
        """What the record of the report holds, by axis."""
        return {
            one.axis: {
                "targets": one.targets,
                "units": one.units,
                "answers": one.values,
                "annotators": one.annotators,
                "alpha": _rounded(one.alpha),
                "alpha_interval": [_rounded(bound) for bound in one.interval] if one.interval else None,
                "kappa": _rounded(one.kappa),
                "likeness": _rounded(one.same),
                "outcomes": self.by_status[one.axis],
                "labels": [
                    {"label": x.label, "given": x.given, "alpha": _rounded(x.alpha), "kappa": _rounded(x.kappa)}
                    for x in one.labels
                ],
                "confusions": [{"one": x.one, "other": x.other, "times": x.times} for x in one.confusions[:DISPUTED]],
            }
            for one in self.measured
        }

    def html(self) -> str:
        """The page."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("biomedica_assets.labels", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters["number"] = lambda value: "" if value is None else f"{value:.3f}"
        return environment.get_template("agreement.html").render(
            record=self.record,
            measured=self.measured,
            plots=self.plots,
            disputed=self.disputed[:DISPUTED],
            picture=lambda png: f"data:image/png;base64,{base64.b64encode(png).decode()}",
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def measure(files: Files, record: ConsensusRecord, taxonomy: Taxonomy) -> Agreement:
    """Measure the agreement of a consensus, on the votes that it was made of.

    Raises:
        FileNotFoundError: garbage collection was there before.
    """
    with files.open_seekable(record.votes.path) as stream:
        votes = [from_row(row) for row in pq.read_table(stream).to_pylist()]
    return Agreement(record, measure_agreement(votes, taxonomy), read_consensus(files, record))


def publish_report(files: Files, agreement: Agreement) -> DataFile:
    """Keep numbers and page, as those in use; the page's file."""
    page = agreement.html().encode()
    digest = hashlib.sha256(page).hexdigest()
    file = DataFile(f"concepts/files/agreement-{digest[:16]}.html", len(page), digest, len(agreement.outcomes))
    files.write(file.path, page)
    written = {
        "consensus": agreement.record.id,
        "taxonomy": agreement.record.taxonomy,
        "simulated": agreement.record.simulated,
        "page": asdict(file),
        "axes": agreement.numbers(),
    }
    files.write(POINTER, json.dumps(written, indent=1, ensure_ascii=False).encode())
    return file


def read_numbers(files: Files) -> dict[str, Any] | None:
    """The record of the report in use: consensus, page, and by axis alpha, kappa, outcomes, confusions; or None."""
    try:
        found: dict[str, Any] = json.loads(files.read(POINTER))
    except FileNotFoundError:
        return None
    return found


def worst(measured: Sequence[AxisAgreement]) -> float | None:
    """The lowest alpha of the axes that have one."""
    return min((one.alpha for one in measured if one.alpha is not None), default=None)
