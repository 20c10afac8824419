"""The web server: REST, streams, gallery, tools for chat agents."""
