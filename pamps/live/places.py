"""The limits of how many streams are open."""

from collections import Counter

from pamps.config import settings
from pamps.observability.metrics import record_streams


class TooManyStreamsError(Exception):
    """The process, or one caller in it, has as many streams as it may have."""

    def __init__(self, *, of_caller: bool) -> None:
        self.of_caller = of_caller


class Places:
    """The places that streams take in a process, by their callers."""

    def __init__(self) -> None:
        self.number = 0
        self._callers: Counter[str] = Counter()

    def take(self, caller: str) -> None:
        """Take a place. Raises TooManyStreamsError."""
        if self.number >= settings.live.max_streams:
            raise TooManyStreamsError(of_caller=False)
        if self._callers[caller] >= settings.live.max_streams_per_caller:
            raise TooManyStreamsError(of_caller=True)
        self._change(caller, 1)

    def give_back(self, caller: str) -> None:
        self._change(caller, -1)

    def _change(self, caller: str, by: int) -> None:
        self.number += by
        self._callers[caller] += by
        if not self._callers[caller]:
            del self._callers[caller]
        record_streams(self.number)
