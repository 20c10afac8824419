"""Reconcile: make a Dagster instance show what the store holds. The store is the truth, the instance a view of it."""

from __future__ import annotations

import re
from collections.abc import Callable

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.annotations import ANNOTATION_ASSETS, annotation_metadata
from biomedica_assets.assets.articles import table_metadata
from biomedica_assets.assets.details import DETAIL_ASSETS, detail_metadata
from biomedica_assets.assets.features import feature_metadata
from biomedica_assets.assets.labels import concept_metadata
from biomedica_assets.assets.metadata import partition_metadata
from biomedica_assets.automation.partitions import register_chunks
from biomedica_assets.ingest.workspace import Workspace
from biomedica_assets.models.features import MODALITIES
from biomedica_assets.pmc.file_list import list_chunks
from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.derived import DerivedManifest, read_derived
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import list_releases, read_chunk_manifests


def reconcile_instance(
    instance: dg.DagsterInstance, workspace: Workspace, *, log: Callable[[str], None] = print
) -> dict[str, int]:
    """Register unknown partition keys and report missing materializations; counts of what was done. Safe to repeat.

    Costs about 20 ms of CPU per reported (table, chunk) on SQLite, and nothing for those the instance has.
    """
    files = workspace.files
    releases = list_releases(files)
    registered = register_chunks(instance, (key for name in releases for key, _ in list_chunks(files, name)))
    if releases and instance.get_latest_materialization_event(dg.AssetKey("file_list")) is None:
        instance.report_runless_asset_event(
            dg.AssetMaterialization("file_list", metadata={"release": releases[-1], "reconciled": True})
        )
    manifests = read_chunk_manifests(files)
    reported = 0
    for name in schemas.CHUNK_TABLES:
        known = instance.get_materialized_partitions(dg.AssetKey(name))
        for chunk, manifest in manifests.items():
            if chunk in known or name not in manifest.tables:
                continue
            metadata = table_metadata(files, manifest, name) | {"reconciled": dg.MetadataValue.bool(True)}
            instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=chunk, metadata=metadata))
            reported += 1
        log(f"{name}: {len(manifests)} chunks in the store, {len(known)} were known")
    seen: dict[dg.AssetKey, set[str]] = {}
    for name in schemas.DERIVED_TABLES:
        for partition, derived in read_derived(files, name).items():
            key = _asset_of(name, partition)
            if partition not in seen.setdefault(key, instance.get_materialized_partitions(key)):
                metadata = _describe(name)(files, derived) | {"reconciled": dg.MetadataValue.bool(True)}
                event = dg.AssetMaterialization(key, partition=partition, metadata=metadata)
                instance.report_runless_asset_event(event)
                reported += 1
    if read_generation(files) and instance.get_latest_materialization_event(dg.AssetKey("catalogue")) is None:
        instance.report_runless_asset_event(dg.AssetMaterialization("catalogue", metadata={"reconciled": True}))
    return {"partitions_registered": len(registered), "materializations_reported": reported}


def _describe(table: str) -> Callable[[Files, DerivedManifest], dict[str, dg.MetadataValue]]:
    if table == schemas.CONCEPTS.name:
        return concept_metadata
    if table in ANNOTATION_ASSETS:
        return annotation_metadata
    if table in DETAIL_ASSETS:
        return detail_metadata
    return feature_metadata if table in MODALITIES else partition_metadata


def _asset_of(table: str, partition: str) -> dg.AssetKey:
    """The asset that makes a partition of a derived table: daily partitions are those of its refresh."""
    return dg.AssetKey(f"{table}_refresh" if re.fullmatch(r"\d{4}-\d{2}-\d{2}", partition) else table)
