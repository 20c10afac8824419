"""The codes of a large segment: a sixteenth of a vector's size at full precision, scanned for candidates.

Belongs here: faiss' settings and why. Not here: the matrix that candidates are measured against, the search.

Product quantisation at half a byte for every two numbers, as the difference to the centre of the vector's list,
scanned with vector instructions: 7 ns a vector of 256 dimensions. Up to `ONE_LIST` vectors there is one list, so that
nothing is left to chance: 300 candidates measured exactly give a recall@10 of 0.99 for any kind of query. Lists alone
do worse on texts, whatever codes they hold: what is nearest to a query of three words lies in lists that are not near
to it; a quarter of 1,024 lists gave 0.94. So they are used only where one list costs too much.
Measured on a million captions, see docs/search.md.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np

from biomedica_assets.search.vector_files import SegmentRecord, open_matrix, settle

ONE_LIST = 4_000_000
"""Vectors up to which the codes stand in one list: 30 ms of CPU a query."""
PROBED = 4
"""Where there are lists, a query reads one in so many."""
TRAINING, TRAINING_PER_LIST, ITERATIONS = 65_536, 64, 10
BLOCK = 50_000
SEED = 20


def lists_for(count: int) -> int:
    """Into how many lists so many vectors are cut: one, or about the square root, a power of two."""
    return 1 if count <= ONE_LIST else 1 << round(math.log2(math.sqrt(count)))


def write_codes(folder: Path, record: SegmentRecord, *, threads: int = 1) -> SegmentRecord:
    """Write the codes of a segment's vectors; its record with them. Vectors of odd width get none.

    Args:
        threads: for training and encoding.
    """
    if record.dimensions % 2:
        return record
    matrix, lists = open_matrix(folder, record), lists_for(record.count)
    faiss.omp_set_num_threads(threads)
    try:
        index = _trained(matrix, lists)
        for start in range(0, record.count, BLOCK):
            index.add(matrix[start : start + BLOCK].astype(np.float32))
    finally:
        faiss.omp_set_num_threads(1)
    path = folder / "writing.codes"
    faiss.write_index(index, str(path))
    return replace(record, codes=settle(path, "codes.faiss"), lists=lists, probes=max(1, lists // PROBED))


def _trained(matrix: np.ndarray, lists: int) -> faiss.IndexIVFPQFastScan:
    count, dimensions = matrix.shape
    centres = faiss.IndexFlatIP(dimensions)
    index = faiss.IndexIVFPQFastScan(centres, dimensions, lists, dimensions // 2, 4, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = True
    index.cp.niter, index.cp.seed = ITERATIONS, SEED
    index.cp.spherical = False  # the centre of one list is the mean, not a point of length 1
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, TRAINING
    index.pq.cp.seed = SEED
    wanted = min(count, max(TRAINING, TRAINING_PER_LIST * lists))
    chosen = np.sort(np.random.default_rng(SEED).choice(count, wanted, replace=False))
    index.train(matrix[chosen].astype(np.float32))
    return index
