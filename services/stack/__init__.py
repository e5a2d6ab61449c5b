"""The embedded stack: Kafka, Postgres and Nenrin's own processes, started and supervised on this machine."""
