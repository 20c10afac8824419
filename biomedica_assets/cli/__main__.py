"""``python -m biomedica_assets.cli``, where the command `biomedica` is not on the path."""

from biomedica_assets.cli import main

main()
