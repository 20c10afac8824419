"""The whole graph on one page: assets, checks, jobs, schedules, sensors, resources."""

from __future__ import annotations

import warnings

import dagster as dg

from biomedica_assets.assets.annotations import build_annotation_assets
from biomedica_assets.assets.articles import build_chunk_assets
from biomedica_assets.assets.card import card, licence_audit, snapshot, statistics
from biomedica_assets.assets.consensus import agreement, build_votes, concept_labels
from biomedica_assets.assets.dataset import catalogue
from biomedica_assets.assets.details import build_detail_assets
from biomedica_assets.assets.features import build_feature_assets
from biomedica_assets.assets.labels import build_label_assets
from biomedica_assets.assets.metadata import build_metadata_assets
from biomedica_assets.assets.release import file_list
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.assets.search import search_index
from biomedica_assets.assets.subsets import build_dataset_assets
from biomedica_assets.assets.teaching import quality_model, teacher_labels
from biomedica_assets.automation.checks import build_detail_checks, concept_space_suits, pmcids_agree, unfinished_chunks
from biomedica_assets.automation.jobs import JOBS
from biomedica_assets.automation.schedules import build_schedules
from biomedica_assets.automation.sensors import build_sensors
from biomedica_assets.settings import Settings

# Multi-run backfill policies and partitioned checks work, but announce at every import that they are young.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)


def build_definitions(resource: BiomedicaResource | None = None) -> dg.Definitions:
    """The definitions; tests hand in a resource that points at their own store and source."""
    resource = resource or BiomedicaResource()
    settings = resource.settings() if resource.model_fields_set else Settings()
    return dg.Definitions(
        assets=[
            file_list,
            build_chunk_assets(settings),
            *build_metadata_assets(settings),
            *build_feature_assets(settings),
            teacher_labels,
            quality_model,
            *build_detail_assets(settings),
            *build_label_assets(settings),
            build_votes(),
            concept_labels,
            agreement,
            *build_annotation_assets(settings),
            catalogue,
            *build_dataset_assets(settings),
            licence_audit,
            statistics,
            card,
            snapshot,
            search_index,
        ],
        asset_checks=[unfinished_chunks, pmcids_agree, *build_detail_checks(), concept_space_suits],
        jobs=JOBS,
        schedules=build_schedules(settings),
        sensors=build_sensors(settings),
        resources={"biomedica": resource},
        # The default executor starts a process per step, at about 5 CPU seconds each; runs are the unit of parallelism.
        executor=dg.in_process_executor,
    )


defs = build_definitions()
