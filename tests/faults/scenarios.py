"""The scenarios, and what is to be said of each."""

from collections.abc import Callable
from dataclasses import dataclass

from tests import canary
from tests.faults.clients import Answer, Record
from tests.faults.world import Ground, World


class LeftOut(Exception):
    """What a scenario needs is not here."""


class Stage:
    """What is to be said of one scenario."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.figures: list[str] = []
        self.problems: list[str] = []

    def say(self, figure: str) -> None:
        self.figures.append(figure)

    def expect(self, holds: object, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def expect_none(self, wrong: list[Answer], what: str, world: World) -> None:
        """Says so if there are such answers, with a few of them and what Pamps logged of each."""
        self.say(f"{what} {len(wrong)}")
        if wrong:
            lines = [f"{len(wrong)} {what}, such as"]
            for answer in wrong[:3]:
                lines.append(f"  {answer} (its connection's {answer.turn}.)")
                lines += (f"    {line.strip()[:1500]}" for line in world.pamps.log_of(answer))
            self.problems.append("\n".join(lines))

    def expect_kept(self, world: World, record: Record) -> None:
        lost = world.lost(record)
        self.say(f"acknowledged {len(record.acknowledged)}, lost {len(lost)}")
        self.expect(not lost, f"acknowledged and lost: {len(lost)}, such as {lost[:3]}")
        with world.pamps.log.open(errors="replace") as log:
            self.expect(not any(map(canary.SECRET.search, log)), "a secret is in the log")


@dataclass
class Scenario:
    play: Callable[..., None]
    long: dict[str, object]
    quick: dict[str, object] | None  # None: it has no quick form

    @property
    def name(self) -> str:
        return self.play.__name__.replace("_", "-")


SCENARIOS: dict[str, Scenario] = {}


def scenario(long: dict[str, object], quick: dict[str, object] | None = None) -> Callable:
    """Puts a function on the list, with its numbers for the long form and for the quick one."""

    def add(play: Callable[..., None]) -> Callable[..., None]:
        found = Scenario(play, long, quick)
        SCENARIOS[found.name] = found
        return play

    return add
