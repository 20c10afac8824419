"""What `biomedica doctor` says of encoders."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from biomedica_assets.ingest.doctor import Finding
from biomedica_assets.models.encoders import configured_name, find_encoder, why_unusable
from biomedica_assets.models.features import MODALITIES, unfinished_features
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import read_chunk_manifests


def diagnose_encoders() -> Iterator[Finding]:
    """Which encoders are asked for and usable, and how many chunks have their vectors. Nothing is loaded."""
    try:
        settings = Settings()
    except ValidationError:
        return  # told by the findings about settings
    reasons = {modality: why_unusable(settings, modality) for modality in MODALITIES.values()}
    for modality, reason in reasons.items():
        if reason:
            advice = f"mend it or change BIOMEDICA_{modality.upper()}_ENCODER; all but vector search works without"
            yield Finding(f"{modality}s", False, reason, advice)
        else:
            name = configured_name(settings, modality)
            known = find_encoder(name)
            yield Finding(f"{modality}s", True, f"encoded by {name}; licence {known.licence}, weights: {known.weights}")
    if any(reasons.values()):
        return
    try:
        files = Files(settings.store)
        chunks, missing = len(read_chunk_manifests(files)), len(unfinished_features(files, settings))
    except OSError:
        return  # told by the finding about the store
    yield Finding("features", True, f"{chunks - missing} of {chunks} committed chunks have vectors")
