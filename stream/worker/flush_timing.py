"""When a flush is due.

Owns: the states between two flushes, and how long each lasts. Must not know: what is flushed, asyncio.

    state        what it means                               lasts
    QUIET        nothing came since the last flush           until something comes
    BACKLOG      something came, and more waits in the log   BACKLOG_SECONDS at most: the more updates a store has,
                                                             the less each costs
    GATHERING    all that is in the log was taken            flush_seconds, for what else may come
    DUE          now                                         until the flush begins

A flush takes all that came before it. So whatever comes while it is being written is the beginning of the next one,
and when it ends, the log decides again whether that waits for more.
"""

from enum import Enum, auto
from typing import Final

BACKLOG_SECONDS: Final = 2.0


class State(Enum):
    """Where we stand between two flushes."""

    QUIET = auto()
    BACKLOG = auto()
    GATHERING = auto()
    DUE = auto()


class Event(Enum):
    """What brings us on."""

    TAKEN_MORE_WAITS = auto()
    TAKEN_ALL = auto()
    TIME_IS_UP = auto()
    HURRY = auto()
    FLUSH_BEGINS = auto()
    FLUSH_ENDS = auto()
    FLUSH_ENDS_MORE_WAITS = auto()


_Q, _B, _G, _D = State.QUIET, State.BACKLOG, State.GATHERING, State.DUE

TRANSITIONS: Final[dict[Event, dict[State, State]]] = {
    Event.TAKEN_MORE_WAITS: {_Q: _B, _B: _B, _G: _G, _D: _D},
    Event.TAKEN_ALL: {_Q: _G, _B: _G, _G: _G, _D: _D},
    Event.TIME_IS_UP: {_Q: _Q, _B: _D, _G: _D, _D: _D},
    Event.HURRY: {_Q: _D, _B: _D, _G: _D, _D: _D},
    Event.FLUSH_BEGINS: {_Q: _Q, _B: _Q, _G: _Q, _D: _Q},
    Event.FLUSH_ENDS: {_Q: _Q, _B: _G, _G: _G, _D: _D},
    Event.FLUSH_ENDS_MORE_WAITS: {_Q: _Q, _B: _B, _G: _B, _D: _D},
}


_FLUSH_ENDS: Final = (Event.FLUSH_ENDS, Event.FLUSH_ENDS_MORE_WAITS)


class FlushTiming:
    """The state, and until when it lasts.

    What comes while a flush is under way has its time from the end of that.
    """

    def __init__(self, flush_seconds: float, now_s: float) -> None:
        self.state = State.QUIET
        self._flush_seconds = flush_seconds
        self._entered_s = self._came_s = now_s

    def on(self, event: Event, now_s: float) -> bool:
        """What happened at `now_s`; whether it brought us into another state."""
        before, self.state = self.state, TRANSITIONS[event][self.state]
        if event in _FLUSH_ENDS or before is State.QUIET:
            self._came_s = now_s
        if event in _FLUSH_ENDS or self.state is not before:
            self._entered_s = now_s
        return self.state is not before

    def is_overdue(self, now_s: float) -> bool:
        """Whether what came first has waited for as long as anything may."""
        return self.state is not State.QUIET and now_s >= self._came_s + BACKLOG_SECONDS

    def ends_s(self) -> float | None:
        """When the state ends by itself; None where it does not."""
        match self.state:
            case State.QUIET:
                return None
            case State.BACKLOG:
                return self._came_s + BACKLOG_SECONDS
            case State.GATHERING:
                return min(self._entered_s + self._flush_seconds, self._came_s + BACKLOG_SECONDS)
            case State.DUE:
                return self._entered_s
