"""What administrators start, and what runs in the background."""


class MaintenanceError(Exception):
    """A command cannot do what it should; the message says why."""
