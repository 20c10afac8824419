"""The consensus in the store: read back as it was, the same votes the same bytes, nothing half done."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from biomedica_assets.labels.outcomes import POINTER, publish_consensus, read_consensus, read_consensus_record
from biomedica_assets.labels.taxonomy import Taxonomy, load_taxonomy
from biomedica_assets.store.files import Files
from biomedica_assets_tests.labels.test_consensus import MIXED, UNSURE, kind, said
from biomedica_assets_tests.labels.test_votes import made

TAXONOMY = load_taxonomy()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "store")


def test_there_and_back(files):
    assert read_consensus_record(files) is None
    votes = said(kind("bar_plot table"), kind("bar_plot"), MIXED, UNSURE, kind("line_plot"))
    record, outcomes, changed = publish_consensus(files, votes, TAXONOMY, simulated=False)
    assert changed
    assert read_consensus_record(files) == record
    read = read_consensus(files, record)
    assert [(o.target, o.axis, o.status, o.labels, o.counts[0].votes if o.counts else 0) for o in read] == [
        ("concept:s1/0", "figure_kind", "agreed", ("plot",), 3),
        ("concept:s1/0", "modality", "unsure", (), 0),
        ("concept:s1/0", "specimen", "unsure", (), 0),
        ("concept:s1/0", "panel_type", "unsure", (), 0),
    ]
    assert [o.share for o in read] == [round(o.share, 6) for o in outcomes]
    assert record.counts == {"votes": 5, "annotators": 5, "concepts": 1, "images": 0, "agreed": 1, "unsure": 3}
    with files.open_seekable(record.votes.path) as stream:
        assert pq.read_table(stream)["annotator"].to_pylist() == ["ada", "bob", "cyd", "dan", "eve"]


def test_the_same_votes_are_the_same_files(files):
    votes = said(kind("table"), kind("table"))
    record, *_ = publish_consensus(files, votes, TAXONOMY, simulated=False)
    before = sorted(files.list())
    again, _, changed = publish_consensus(files, [*reversed(votes), votes[0]], TAXONOMY, simulated=False)
    assert (again, changed) == (record, False)
    assert sorted(files.list()) == before
    assert {path.rsplit("/", 1)[0] for path, _ in before} == {"concepts", "concepts/files"}


def test_without_votes_there_is_an_empty_consensus(files):
    record, outcomes, _ = publish_consensus(files, [], TAXONOMY, simulated=False)
    assert (outcomes, read_consensus(files, record), record.labels.rows) == ([], [], 0)
    assert files.exists(POINTER)


def test_simulated_votes_and_other_taxonomies_make_another_consensus(files):
    votes = [made(1, source="simulated"), made(2, "bob")]
    real, *_ = publish_consensus(files, votes, TAXONOMY, simulated=False)
    both, *_ = publish_consensus(files, votes, TAXONOMY, simulated=True)
    assert (real.counts["votes"], both.counts["votes"]) == (1, 2)
    newer = Taxonomy.model_validate(TAXONOMY.model_dump() | {"version": "2"})
    other, *_ = publish_consensus(files, votes, newer, simulated=True)
    assert len({real.id, both.id, other.id}) == 3
