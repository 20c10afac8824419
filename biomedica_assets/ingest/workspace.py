"""A store, the source it is bound to, and the settings: what every step of the graph opens first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from biomedica_assets.ingest.bounds import share_arenas
from biomedica_assets.pmc.releases import ReleaseSource, open_source
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import bind_store


@dataclass(frozen=True)
class Workspace:
    """Settings, store and source. The source is opened when first needed: readers of the store do not need it."""

    settings: Settings
    files: Files

    @cached_property
    def source(self) -> ReleaseSource:
        """The release source.

        Raises:
            NoReleaseError: there is no release at the URL.
        """
        if self.settings.uses_sample:
            from biomedica_assets.sample import ensure  # the generator is needed only here

            ensure(self.settings.source_url)
        return open_source(self.settings.source_url, anonymous=self.settings.source_anonymous)

    def bind(self, *, adopt: bool = False) -> None:
        """Bind the store to the source, see `bind_store`."""
        bind_store(self.files, self.source.identity, adopt=adopt)


def open_workspace(settings: Settings) -> Workspace:
    """Open the store's URL; nothing is read or written yet."""
    share_arenas()
    return Workspace(settings, Files(settings.store))
