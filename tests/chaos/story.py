"""Rounds, made from a seed: the same seed is the same story.

Owns: which faults there are, in which order they come, and what is sent before, while and after. Must not know: how
anything is performed. Everything here is a pure function of chance.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from tests.chaos.actions import Action, Note, Story, Verb
from tests.chaos.sending import QUIET_KINDS, Sending

STORES: Final = 24
WORKERS: Final = 3
SESSION_SECONDS: Final = 3.0
_OUTAGE_SECONDS: Final = 1.5 * SESSION_SECONDS
_MOMENT_SECONDS: Final = 0.08
"""Within so long of a send, what it says is being written."""

Episode = Callable[[Random, Sending], list[Action]]


def story_of(seed: int, episodes: int = 2) -> Story:
    """A round with some faults, one after the other."""
    chance = Random(seed)
    partitions = chance.choice((1, 3, 3, 4))
    sending = Sending(chance, STORES, partitions)
    actions = _calm(chance, sending)
    for episode in _some(chance, episodes):
        actions += episode(chance, sending)
        actions += _between(chance, sending)
    return Story(seed, partitions, WORKERS, tuple(actions))


def quiet_story(seed: int) -> Story:
    """A round in which nothing goes wrong, nothing is aborted and every record stands where it belongs."""
    chance = Random(seed)
    sending = Sending(chance, STORES, 3, QUIET_KINDS)
    actions = (*_calm(chance, sending), *_flow(chance, sending, 3.0))
    return Story(seed, 3, 2, tuple(action for action in actions if action.verb is not Verb.ABORT))


def embedded_story(seed: int) -> Story:
    """A round for one worker on the embedded log: it is killed in whatever takes some writing."""
    chance = Random(seed)
    partitions = chance.choice((1, 3))
    sending = Sending(chance, STORES, partitions)
    actions = [Action(Verb.SEND, notes=sending.opening()), Action(Verb.WAIT, seconds=1.0)]
    for makes in chance.sample((*_TAKES_WRITING, *_TAKES_WRITING), 5):
        actions += [
            Action(Verb.SEND, notes=makes(sending)),
            Action(Verb.WAIT, seconds=chance.uniform(0, 2 * _MOMENT_SECONDS)),
            Action(Verb.KILL),
            *([Action(Verb.WIPE)] if chance.random() < 0.4 else []),
            Action(Verb.SEND, notes=sending.batch(10)),
            Action(Verb.START),
            Action(Verb.WAIT, seconds=chance.uniform(0.5, 2.0)),
        ]
    return Story(seed, partitions, 1, tuple(actions))


def _some(chance: Random, count: int) -> list[Episode]:
    """Half of all faults are those of late writers."""
    late = chance.choice((_frozen, _unplugged))
    rest = chance.sample(_OTHERS, count - 1)
    return chance.sample([late, *rest], count)


def _calm(chance: Random, sending: Sending) -> list[Action]:
    return [Action(Verb.SEND, notes=sending.opening()), *_flow(chance, sending, 0.6)]


def _between(chance: Random, sending: Sending) -> list[Action]:
    """Between two faults: nothing at all, or records."""
    return [Action(Verb.WAIT, seconds=0.5)] if chance.random() < 0.4 else _flow(chance, sending, 0.8)


def _flow(chance: Random, sending: Sending, seconds: float) -> list[Action]:
    """Records for so long, a fifth of the batches in transactions that are aborted."""
    actions, left_s = [], seconds
    while left_s > 0:
        verb = Verb.ABORT if chance.random() < 0.2 else Verb.SEND
        actions.append(Action(verb, notes=sending.batch(chance.randrange(3, 25))))
        pause_s = chance.uniform(0.05, 0.4)
        actions.append(Action(Verb.WAIT, seconds=pause_s))
        left_s -= pause_s
    return actions


def _meanwhile(chance: Random, sending: Sending) -> list[Action]:
    """While somebody is away for longer than the session: records, or none but some at the start."""
    if chance.random() < 0.7:
        return _flow(chance, sending, _OUTAGE_SECONDS)
    return [Action(Verb.SEND, notes=sending.batch(12)), Action(Verb.WAIT, seconds=_OUTAGE_SECONDS)]


def _frozen(chance: Random, sending: Sending) -> list[Action]:
    gone = chance.sample(range(WORKERS), chance.choice((1, 1, 2)))
    return [
        Action(Verb.SEND, notes=sending.batch(20)),
        Action(Verb.WAIT, seconds=chance.uniform(0, _MOMENT_SECONDS)),
        *(Action(Verb.FREEZE, each) for each in gone),
        *_meanwhile(chance, sending),
        *(Action(Verb.WAKE, each) for each in gone),
        *_aftermath(chance, sending, gone),
    ]


def _unplugged(chance: Random, sending: Sending) -> list[Action]:
    gone = chance.sample(range(WORKERS), chance.choice((1, 1, 2)))
    how = chance.choice((Verb.CUT, Verb.HOLD))
    return [
        Action(Verb.SEND, notes=sending.batch(20)),
        Action(Verb.WAIT, seconds=chance.uniform(0, _MOMENT_SECONDS)),
        *(Action(how, each) for each in gone),
        *_meanwhile(chance, sending),
        *(Action(Verb.OPEN, each) for each in gone),
        *_aftermath(chance, sending, gone),
    ]


def _aftermath(chance: Random, sending: Sending, gone: list[int]) -> list[Action]:
    """They are back. Then nothing more comes; or they are restarted; or the owners are killed; or records flow."""
    pause = Action(Verb.WAIT, seconds=chance.uniform(0, 1.5))
    owners = [each for each in range(WORKERS) if each not in gone]
    match chance.choice(("nothing", "restart", "kill owners", "flow", "flow and kill")):
        case "nothing":
            return [Action(Verb.WAIT, seconds=1.5)]
        case "restart":
            return [pause, *_each(Verb.STOP, gone), *_each(Verb.START, gone)]
        case "kill owners":
            return [pause, *_each(Verb.KILL, owners), *_each(Verb.START, owners)]
        case "flow":
            return _flow(chance, sending, 1.5)
        case _:
            return [*_flow(chance, sending, 0.5), *_each(Verb.KILL, owners), *_each(Verb.START, owners)]


def _each(verb: Verb, workers: list[int]) -> list[Action]:
    return [Action(verb, each) for each in workers]


def _killed_in(notes: Callable[[Sending], tuple[Note, ...]]) -> Episode:
    """Send what takes some writing, and kill workers in the middle of it; some lose their tables."""

    def episode(chance: Random, sending: Sending) -> list[Action]:
        actions: list[Action] = []
        for worker in chance.sample(range(WORKERS), 2):
            actions += [
                Action(Verb.SEND, notes=notes(sending)),
                Action(Verb.WAIT, seconds=chance.uniform(0, 2 * _MOMENT_SECONDS)),
                Action(Verb.KILL, worker),
                *([Action(Verb.WIPE, worker)] if chance.random() < 0.4 else []),
                Action(Verb.START, worker),
                Action(Verb.WAIT, seconds=chance.uniform(0.1, 1.0)),
            ]
        return actions

    return episode


def _killed_in_recovery(chance: Random, sending: Sending) -> list[Action]:
    """Everything is lost but the changelog, and the first attempts to get it back are cut off."""
    everyone = list(range(WORKERS))
    actions = [
        Action(Verb.SEND, notes=sending.batch(20)),
        *_each(Verb.KILL, everyone),
        *_each(Verb.WIPE, everyone),
    ]
    for _ in range(2):
        actions += _each(Verb.START, everyone[:2])
        actions.append(Action(Verb.WAIT, seconds=chance.uniform(1.2, 3.0)))
        actions += _each(Verb.KILL, everyone[:2])
    return [*actions, *_each(Verb.START, everyone), *_flow(chance, sending, 0.5)]


def _replica_killed(chance: Random, sending: Sending) -> list[Action]:
    return [
        *_flow(chance, sending, 0.3),
        Action(Verb.KILL_REPLICA),
        *([Action(Verb.WIPE_REPLICA)] if chance.random() < 0.5 else []),
        *_flow(chance, sending, 0.3),
        Action(Verb.START_REPLICA),
    ]


def _bounced(chance: Random, sending: Sending) -> list[Action]:
    return [
        Action(Verb.SEND, notes=sending.batch(40)),
        Action(Verb.WAIT, seconds=chance.uniform(0, _MOMENT_SECONDS)),
        Action(Verb.BOUNCE, seconds=chance.choice((0.0, 1.0, SESSION_SECONDS))),
        *_flow(chance, sending, 0.5),
    ]


def _group_reset(chance: Random, sending: Sending) -> list[Action]:
    """Only an empty group can be reset."""
    everyone = list(range(WORKERS))
    return [
        Action(Verb.SEND, notes=sending.strays()),
        *_flow(chance, sending, 0.3),
        *_each(Verb.STOP, everyone),
        Action(Verb.SEND, notes=sending.batch(10)),
        Action(chance.choice((Verb.RESET_EARLIEST, Verb.RESET_LATEST))),
        *_each(Verb.START, everyone),
    ]


def _compacted(chance: Random, sending: Sending) -> list[Action]:
    worker = chance.randrange(WORKERS)
    return [
        Action(Verb.COMPACT),
        *_flow(chance, sending, 1.2),
        *([Action(Verb.KILL, worker), Action(Verb.WIPE, worker)] if chance.random() < 0.5 else []),
        *_flow(chance, sending, 0.8),
        Action(Verb.START, worker),
    ]


_TAKES_WRITING: Final[tuple[Callable[[Sending], tuple[Note, ...]], ...]] = (
    lambda sending: sending.batch(60),
    Sending.dropping,
    Sending.forgetting,
    Sending.strays,
)
_OTHERS: Final[tuple[Episode, ...]] = (
    *map(_killed_in, _TAKES_WRITING),
    _killed_in_recovery,
    _replica_killed,
    _bounced,
    _group_reset,
    _compacted,
)
