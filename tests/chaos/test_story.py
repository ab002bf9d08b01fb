"""Stories are made from their seeds alone, and among them they reach every trouble."""

from tests.chaos.actions import Verb
from tests.chaos.meaning import HOURS, POLLS, ZONES, Written, meaning_of_originals
from tests.chaos.story import story_of


def test_a_seed_tells_the_same_story_again() -> None:
    assert story_of(7) == story_of(7)
    assert str(story_of(7)) != str(story_of(8))


def test_sixty_stories_do_everything_that_can_be_done() -> None:
    assert {action.verb for seed in range(60) for action in story_of(seed).actions} == set(Verb)


def test_stories_put_records_of_every_topic_and_nulls_into_wrong_partitions_and_send_bad_ones() -> None:
    topics, nulls, reasons = set(), set(), set()
    for seed in range(20):
        story = story_of(seed)
        notes = [note for action in story.actions for note in action.notes]
        written = [
            Written(note.topic, note.partition, offset, 1_800_000_000_000, note.key, note.value)
            for offset, note in enumerate(notes)
        ]
        meaning = meaning_of_originals(written, story.partitions)
        topics |= {topic for topic, _ in meaning.strays}
        nulls |= {
            written[stamp.offset].topic for _, stamp in meaning.strays if written[stamp.offset].value is None
        }
        reasons |= {letter.reason for letter in meaning.letters}
    assert topics == {POLLS, HOURS, ZONES}
    assert nulls == {HOURS, ZONES}
    assert {"misplaced_tombstone", "unknown status", "unknown zone"} < reasons
