"""A real `dagster dev` (web server, daemon, run workers) on loopback, driven through GraphQL and a browser."""
