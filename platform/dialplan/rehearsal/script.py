"""What the speech service's stand-in answers: the turns of an agent's rehearsals. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dialplan.config.model import Rehearsal, Turn


@dataclass(slots=True)
class Script:
    """Where a conversation stands in one or several rehearsals.

    Two rehearsals may begin with the same words, so every one that still fits is kept in mind, and the first decides.
    """

    rehearsals: Sequence[Rehearsal]
    _at: list[tuple[Rehearsal, int]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Everything that a caller may say."""
        return list(dict.fromkeys(turn.caller for r in self.rehearsals for turn in r.turns if turn.caller))

    def turn(self, line: str) -> Turn | None:
        """The turn that a caller's line begins: the next one, else any that has this line."""
        following = [(r, i + 1) for r, i in self._at if i + 1 < len(r.turns) and r.turns[i + 1].caller == line]
        anywhere = [(r, i) for r in self.rehearsals for i, turn in enumerate(r.turns) if turn.caller == line]
        found = following or anywhere
        if not found:
            return None
        self._at = found
        rehearsal, index = found[0]
        return rehearsal.turns[index]
