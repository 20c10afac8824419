"""When things run: partitions, jobs, schedules, sensors, upkeep. What is materialized is in `assets`."""
