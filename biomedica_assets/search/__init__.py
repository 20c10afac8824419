"""The search index: keywords, vectors, filters; generations built from deltas."""
