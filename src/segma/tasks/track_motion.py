"""How an object's box moves: a Kalman filter at constant velocity (SAMURAI, arXiv 2411.11922)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BoxMotion:
    """The filter's state."""

    numbers: tuple[float, ...]

    def to_list(self) -> list[float]:
        """As JSON."""
        return list(self.numbers)

    @classmethod
    def from_list(cls, numbers: list[float]) -> BoxMotion:
        """The state of `to_list`."""
        return cls(tuple(numbers))
