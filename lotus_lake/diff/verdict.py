"""What building a branch itself came to, apart from its tables."""

from __future__ import annotations

from dataclasses import dataclass

from lotus_lake.diff.results import LakeDiff


@dataclass(frozen=True)
class Problem:
    """A node that failed, and what it says."""

    node: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What a second build with --full-refresh says of the first, incremental one.

    Args:
        rebuilt: Tables that were built again.
        differing: Those of them that came out otherwise.
    """

    rebuilt: int
    differing: list[str]

    @classmethod
    def of(cls, diff: LakeDiff) -> Verdict:
        """Read it off the comparison of both builds."""
        return cls(len(diff.tables), [table.name for table in diff.changed])

    @property
    def agrees(self) -> bool:
        """Whether all came out the same."""
        return not self.differing

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.agrees:
            return (
                "The incremental build and a full refresh agree (models built both ways: "
                f"{self.rebuilt})."
            )
        return (
            "NOT THE SAME after a full refresh: " + ", ".join(self.differing) + ". The incremental "
            "path of a changed model gives other rows than its SQL over everything: look at what "
            "it follows by its key (docs/incremental.md)."
        )
