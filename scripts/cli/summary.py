"""What a replay did, in lines.

Owns: the words. Must not know: how they are shown.
"""

from typing import Final

from scripts.cli.progress import Progress
from scripts.csv_input.rejects import RejectsWriter
from scripts.replay import ReplaySummary

_MAX_NAMED: Final = 10


def say_summary(progress: Progress, summary: ReplaySummary, rejects: RejectsWriter) -> None:
    """What a replay sent and what it turned away."""
    progress.say(
        f"sent {summary.polls:,} polls, the hours of {summary.weeks:,} stores, {summary.zones:,} zones"
    )
    if summary.unread:
        names = ", ".join(summary.unread[:_MAX_NAMED]) + (" …" if len(summary.unread) > _MAX_NAMED else "")
        progress.say(f"not read, because no file of a folder has that name: {names}")
    if rejects.total:
        reasons = ", ".join(f"{count:,} {reason.value}" for reason, count in rejects.counts.most_common())
        progress.say(f"turned away {rejects.total:,} lines: {reasons}")
    if partly := summary.partly_rejected_weeks:
        names = ", ".join(partly[:_MAX_NAMED]) + (" …" if len(partly) > _MAX_NAMED else "")
        progress.say(
            f"{len(partly):,} stores lost rows of their hours; a missing day reads as closed: {names}"
        )
