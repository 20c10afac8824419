"""biomedica_assets: PubMed Central's Open Access articles as a living multimodal dataset."""

__version__ = "0.1.0"
