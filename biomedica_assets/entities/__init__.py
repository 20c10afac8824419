"""Biomedical entities named in texts: vocabulary, learned tagger, annotators by name, the table `entities`."""
