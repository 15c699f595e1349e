"""Streams of events: see docs/decisions/0028-live-events.md."""
