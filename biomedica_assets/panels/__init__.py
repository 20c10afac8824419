"""Compound figures: where the panels of an image lie, their letters, and each panel's own part of the caption."""
