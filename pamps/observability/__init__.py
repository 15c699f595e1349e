"""The log, the metrics and the traces."""
