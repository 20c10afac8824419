"""The embedded sample release: about 60 articles of our own, with pictures drawn by us, in both PMC layouts.

It feeds `make demo` and the tests. Generated when first needed, never committed; every byte is a pure function of
this code (and of the versions of numpy and Pillow). Here belongs what the sample says and shows; the layouts
themselves are written by `biomedica_assets.pmc.writer`.
"""

from biomedica_assets.sample.articles import shapes
from biomedica_assets.sample.model import Article, Figure, Mention
from biomedica_assets.sample.release import RELEASES, ensure, expected, truth, write_packages, write_release

__all__ = [
    "RELEASES",
    "Article",
    "Figure",
    "Mention",
    "ensure",
    "expected",
    "shapes",
    "truth",
    "write_packages",
    "write_release",
]
