"""One chunk: rows of a file list -> tables and archive shards, committed by a manifest.

Belongs here: what a store wants of a release (`listing`), what is unfinished (`status`), what is already held
(`prior`), what one article becomes (`article`) and the pass over a chunk (`chunk`). Not here: how PMC serves things
(`pmc`), how XML is read (`jats`), how files are laid out (`store`), when things run (`automation`).
"""
