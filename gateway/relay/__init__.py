"""The part that runs beside the broker: ingest, keep, fan out."""
