"""Where data lies: bytes by URL, write-once files, manifests that commit them, Parquet, archive shards, catalogue.

What does not belong here: what the data mean, and how they come about. Imports nothing of the project but `schemas`
and `settings`.
"""
