"""What images show: taxonomy, concepts, votes, consensus, classifiers. Knows nothing of Dagster."""
