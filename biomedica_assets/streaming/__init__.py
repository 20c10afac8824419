"""Filtered, shuffled training streams as WebDataset tars made of byte ranges."""
