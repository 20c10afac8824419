"""Planned reads: all spans covered, little beside them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.dataset.reading import Read, Span, plan_reads, read_images
from biomedica_assets.store.files import Files

spans = st.lists(st.builds(Span, st.sampled_from(["a", "b"]), st.integers(0, 3000), st.integers(1, 400)), max_size=40)


@given(spans)
def test_every_span_is_read_once_and_little_else(wanted: list[Span]) -> None:
    reads = plan_reads(wanted, max_gap=100, max_waste=0.2, max_read=1000)
    assert sorted(index for read in reads for index in read.spans) == list(range(len(wanted)))
    for read in reads:
        for index in read.spans:
            assert read.shard == wanted[index].shard
            assert read.offset <= wanted[index].offset
            assert wanted[index].offset + wanted[index].length <= read.offset + read.length
    own = {(span.shard, byte) for span in wanted for byte in range(span.offset, span.offset + span.length)}
    assert sum(read.length for read in reads) <= max(1.25 * len(own), 0)


def test_neighbours_come_together() -> None:
    wanted = [Span("a", 512, 900), Span("b", 0, 10), Span("a", 0, 500), Span("a", 9000, 5)]
    assert plan_reads(wanted) == [
        Read("a", 0, 1412, [2, 0]),
        Read("a", 9000, 5, [3]),
        Read("b", 0, 10, [1]),
    ]


def test_bytes(tmp_path) -> None:
    files = Files(tmp_path)
    data = bytes(range(256)) * 8
    files.write("a", data)
    files.write("b", data[::-1])
    wanted = [Span("b", 5, 7), Span("a", 100, 50), Span("a", 160, 50), Span("a", 100, 50), Span("a", 2000, 48)]
    found = dict(read_images(files, wanted, workers=2))
    assert found == {i: files.read(s.shard)[s.offset : s.offset + s.length] for i, s in enumerate(wanted)}
    assert files.traffic.requests <= len(wanted) + len(wanted)
