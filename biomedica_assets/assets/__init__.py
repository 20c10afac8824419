"""What is materialized, one module per group. Thin: unpack the context, call the domain, report metadata.

Domain logic does not belong here (see `ingest`, `pmc`, `store`), nor does when things run (see `automation`).

Modules with assets, ops or sensors must not postpone annotations (`from __future__ import annotations`): Dagster reads
the type of ``context`` from them.
"""
