"""What makes a dataset of the tables: duplicates, subsets by recipe, exports, the view in BIOMEDICA's fields.

What belongs here: everything that reads a catalogue generation and writes something that can be cited, trained on or
handed over. What does not: how rows come about (`ingest`, `jats`, `images`), what is current (`store.catalogue`), when
things run (`assets`, `automation`). Never imports Dagster.
"""
