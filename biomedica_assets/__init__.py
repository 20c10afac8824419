"""biomedica_assets: PubMed Central's Open Access articles as a living multimodal dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biomedica_assets.streaming.client import stream

__all__ = ["stream"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`stream` is imported when it is first asked for: the package itself stays light."""
    if name == "stream":
        from biomedica_assets.streaming.client import stream

        return stream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
