"""The mutants of the product, by file, each with the test that falls of it (tests.mutants).

Owns: their names, what is replaced by what, and which test must fall. Must not know: how that is found out.

Each name is what the product would do with it: a fact that must not be one. A text to be replaced stands once in
its file, so a change there may ask for a change here. What cannot change anything that anybody sees is no mutant:

    stream/core/calendar.py     read_us, `side="right"`: at the very close of an interval both sides read the same
    stream/core/totals.py       `change_polls >> 1 <= until_us`: a change at an edge adds a span of no length
    stream/core/merge.py        `dropped_stores` derived again: what drops a day changes the baseline too
    schemas/stamps.py           `stamp > held.stamp`: equal stamps are of one record, and that says the same
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mutant:
    """`before` becomes `after` in a file; then a test falls: a pytest selection, which passes otherwise."""

    name: str
    file: str
    before: str
    after: str
    test: str


MUTANTS: Final = (
    # stream/core/calendar.py
    Mutant(
        "a local date reaches one day",
        "stream/core/calendar.py",
        "_REACH_DAYS: Final = 4",
        "_REACH_DAYS: Final = 1",
        "tests/core/test_calendar_edges.py::test_the_first_and_last_hours_of_a_block_are_open_as_the_oracle_says",
    ),
    Mutant(
        "touching intervals stay apart",
        "stream/core/calendar.py",
        "opens[1:] > reach[:-1]",
        "opens[1:] >= reach[:-1]",
        "tests/core/test_calendar_edges.py::test_rows_that_touch_are_one_interval",
    ),
    Mutant(
        "empty intervals count",
        "stream/core/calendar.py",
        "counts = opens < closes",
        "counts = opens <= closes",
        "tests/core/test_calendar_edges.py::test_a_row_that_a_change_of_clocks_leaves_no_time_is_no_interval",
    ),
    Mutant(
        "at a change of clocks the wall shows the time before it",
        "stream/core/calendar.py",
        'np.searchsorted(self.change_us, at_us, side="right")',
        'np.searchsorted(self.change_us, at_us, side="left")',
        "tests/core/test_calendar_edges.py::test_at_the_very_instant_of_a_change_the_wall_shows_the_new_time",
    ),
    Mutant(
        "the first wall time after a change of clocks is read with the offset before",
        "stream/core/calendar.py",
        'np.searchsorted(self.claimed_to_us, wall_us, side="right")',
        'np.searchsorted(self.claimed_to_us, wall_us, side="left")',
        "tests/core/test_calendar_edges.py::test_the_first_wall_time_behind_a_change_is_read_with_the_new_offset",
    ),
    Mutant(
        "a window that begins at a local midnight has an empty first day",
        "stream/core/calendar.py",
        "if from_us < at < to_us]",
        "if from_us <= at < to_us]",
        "tests/query_api/test_standing_edges.py::test_a_window_from_local_midnight_to_local_midnight_has_no_empty_day",
    ),
    Mutant(
        "a window that ends at a local midnight has an empty last day",
        "stream/core/calendar.py",
        "if from_us < at < to_us]",
        "if from_us < at <= to_us]",
        "tests/core/test_calendar_edges.py::test_a_span_from_midnight_to_midnight_has_only_those_between_inside",
    ),
    Mutant(
        "empty intervals are handed out at the edges of a window",
        "stream/core/calendar.py",
        "strict=True) if opened < closed]",
        "strict=True) if opened <= closed]",
        "tests/core/test_calendar_edges.py::test_an_interval_that_only_touches_a_span_is_not_in_it",
    ),
    Mutant(
        "kept open time is used for instants before it",
        "stream/core/calendar.py",
        "kept is None or from_us < kept.from_us or to_us",
        "kept is None or to_us",
        "tests/core/test_calendar_edges.py::test_what_is_asked_before_or_behind_the_span_that_was_asked_first_is_prepared_again",
    ),
    # stream/core/changes.py
    Mutant(
        "a day of as many changes as may be is compacted",
        "stream/core/changes.py",
        "counts > COMPACT_ABOVE",
        "counts >= COMPACT_ABOVE",
        "tests/core/test_compaction.py::test_a_day_of_sixteen_changes_is_kept_whole",
    ),
    Mutant(
        "a compacted day at zero is not marked",
        "stream/core/changes.py",
        "up_us[first] = ~up_us[first]",
        "up_us[first] = -up_us[first]",
        "tests/core/test_compaction.py::test_of_a_day_of_seventeen_the_first_and_the_last_are_kept_and_the_first_is_marked",
    ),
    Mutant(
        "a change at the midnight of the first affected day stays too",
        "stream/core/changes.py",
        "summaries.change_polls < (first_day",
        "summaries.change_polls <= (first_day",
        "tests/core/test_merge_edges.py::test_a_change_at_the_midnight_of_a_compacted_day_is_derived_again_with_that_day",
    ),
    Mutant(
        "a baseline that is down is a change also where days stay",
        "stream/core/changes.py",
        "np.flatnonzero(~has_days_before & (baseline",
        "np.flatnonzero((baseline",
        "tests/core/test_merge_edges.py::test_a_baseline_that_is_down_is_one_change_however_much_comes_behind_it",
    ),
    Mutant(
        "changes stay also where no day stays",
        "stream/core/changes.py",
        "kept.only(has_days_before[of_change] & is_before)",
        "kept.only(is_before)",
        "tests/core/test_merge_edges.py::test_changes_of_dropped_days_go_and_what_is_left_begins_at_zero",
    ),
    Mutant(
        "the second half of spans too long to read together begins at its old place",
        "stream/core/changes.py",
        "starts[half:] - middle",
        "starts[half:]",
        "tests/core/test_merge_edges.py::test_stores_of_several_calendars_are_what_each_is_alone",
    ),
    Mutant(
        "the uptime before the first new change is left out",
        "stream/core/changes.py",
        "start_us[last.stores] = last.up_us",
        "start_us[last.stores] = 0",
        "tests/core/test_merge_edges.py::test_the_uptime_before_a_new_change_is_kept_where_the_store_was_down_and_where_it_was_up",
    ),
    # stream/core/merge.py
    Mutant(
        "retention drops a day too much",
        "stream/core/merge.py",
        "is_dropped = day < floor_day[of_day]",
        "is_dropped = day <= floor_day[of_day]",
        "tests/core/test_merge_edges.py::test_the_day_at_the_floor_is_kept_and_the_one_before_it_is_dropped",
    ),
    Mutant(
        "a poll at the floor of retention is dropped",
        "stream/core/merge.py",
        "is_old = updates.packed < (floor_day",
        "is_old = updates.packed <= (floor_day",
        "tests/core/test_merge_edges.py::test_a_new_poll_at_the_midnight_of_the_floor_is_kept",
    ),
    Mutant(
        "of two old polls at one instant the active one is the baseline",
        "stream/core/merge.py",
        "    inactive_last = latest ^ 1\n"
        "    np.maximum.at(inactive_last, stores, packed ^ 1)\n"
        "    return inactive_last ^ 1",
        "    inactive_last = latest.copy()\n"
        "    np.maximum.at(inactive_last, stores, packed)\n"
        "    return inactive_last",
        "tests/core/test_merge_edges.py::test_of_two_old_polls_of_one_instant_the_inactive_one_is_the_baseline",
    ),
    Mutant(
        "a repeated poll counts as new",
        "stream/core/merge.py",
        "key[len(packed[0]) :] |= 1",
        "key |= 1",
        "tests/stream/test_write_behind_edges.py::test_a_poll_that_comes_again_writes_the_positions_alone",
    ),
    Mutant(
        "another baseline derives nothing again",
        "stream/core/merge.py",
        "for whole in (dropped_stores, retained_.baseline != summaries.baseline):",
        "for whole in (dropped_stores,):",
        "tests/core/test_merge_edges.py::test_a_poll_below_the_floor_of_polls_known_before_is_the_baseline_and_derives_all_again",
    ),
    Mutant(
        "a forgetful store keeps its baseline",
        "stream/core/merge.py",
        "baseline=np.where(forgets, NO_POLL, summaries.baseline)",
        "baseline=summaries.baseline",
        "tests/core/test_merge_edges.py::test_a_store_that_forgets_has_neither_baseline_nor_latest_and_no_row",
    ),
    Mutant(
        "a poll exactly as old as retention goes is not retained",
        "stream/core/merge.py",
        "np.searchsorted(packed, floor)",
        "np.searchsorted(packed, floor + 1)",
        "tests/core/test_merge_edges.py::test_a_poll_exactly_as_old_as_retention_goes_is_retained_and_so_is_the_one_before_it",
    ),
    Mutant(
        "day blocks are written only where all of their polls are new",
        "stream/core/merge.py",
        "np.logical_or.reduceat(polls.is_new",
        "np.logical_and.reduceat(polls.is_new",
        "tests/core/test_merge_edges.py::test_a_day_block_gets_a_poll_beside_those_that_it_has",
    ),
    # stream/core/totals.py
    Mutant(
        "a store whose first change is compacted is not looked up",
        "stream/core/totals.py",
        "(last >= summaries.first_change[:-1])",
        "(last > summaries.first_change[:-1])",
        "tests/core/test_compaction.py::test_of_several_stores_each_keeps_its_changes_when_one_is_looked_up_in_its_day_block",
    ),
    Mutant(
        "the mark of a compacted day is read as a negative number",
        "stream/core/totals.py",
        "np.where(up_us < 0, ~up_us, up_us)",
        "np.where(up_us < 0, -up_us, up_us)",
        "tests/core/test_compaction.py::test_spans_that_begin_or_end_inside_of_compacted_days_are_answered_as_the_oracle_does",
    ),
    Mutant(
        "a compacted day begins active",
        "stream/core/totals.py",
        "was_active=not first & 1",
        "was_active=True",
        "tests/core/test_compaction.py::test_spans_that_begin_or_end_inside_of_compacted_days_are_answered_as_the_oracle_does",
    ),
    Mutant(
        "stores behind a compacted day keep their place",
        "stream/core/totals.py",
        "grown[store] += len(polls) - 2",
        "grown[store] += 0",
        "tests/core/test_compaction.py::test_of_several_stores_each_keeps_its_changes_when_one_is_looked_up_in_its_day_block",
    ),
    # stream/core/windows.py
    Mutant(
        "answers reach back a week too far",
        "stream/core/windows.py",
        "(retention_days * DAY_US - WEEK_US)",
        "(retention_days * DAY_US)",
        "tests/query_api/test_report.py::test_an_instant_outside_the_answerable_span_is_refused_and_the_span_named",
    ),
    # stream/core/cells.py
    Mutant(
        "a half is rounded up",
        "stream/core/cells.py",
        "(2 * rest > step) | ((2 * rest == step) & (whole & 1 == 1))",
        "2 * rest >= step",
        "tests/core/test_report_row.py",
    ),
    # stream/worker/write_behind.py
    Mutant(
        "acknowledged before the write",
        "stream/worker/write_behind.py",
        "        ours = self._ours.get(partition)\n"
        "        try:\n"
        "            if ours is not None and self._is_ours(partition, pending):",
        "        ours = self._ours.get(partition)\n"
        "        for acknowledge in pending.acknowledge:\n"
        "            acknowledge()\n"
        "        pending.acknowledge.clear()\n"
        "        try:\n"
        "            if ours is not None and self._is_ours(partition, pending):",
        "tests/stream/test_write_behind.py::test_nothing_is_acknowledged_before_writer_and_table_have_it",
    ),
    Mutant(
        "acknowledged while it is being written",
        "stream/worker/write_behind.py",
        "await self._write(partition, ours, flush, pending.positions, pending.outgoing)",
        "asyncio.ensure_future(self._write(partition, ours, flush, pending.positions))",
        "tests/stream/test_write_behind.py::test_nothing_is_acknowledged_before_writer_and_table_have_it",
    ),
    Mutant(
        "acknowledged when the broker has it and the table not",
        "stream/worker/write_behind.py",
        "        batch.write(self._table.rows(partition), offset, began_s)",
        "        asyncio.get_running_loop().call_soon(batch.write, self._table.rows(partition), offset, began_s)",
        "tests/stream/test_write_behind.py::test_nothing_is_acknowledged_before_writer_and_table_have_it",
    ),
    Mutant(
        "dead letters and strays are not sent",
        "stream/worker/write_behind.py",
        "flush, pending.positions, pending.outgoing)",
        "flush, pending.positions)",
        "tests/stream/test_write_behind.py::test_dead_letters_and_strays_go_out_with_the_positions_that_note_them",
    ),
    Mutant(
        "polls in memory hold nobody back",
        "stream/worker/write_behind.py",
        "if self._polls > _MAX_PENDING_POLLS or self._outgoing_bytes",
        "if self._outgoing_bytes",
        "tests/stream/test_write_behind.py::test_who_brings_more_polls_than_memory_may_hold_waits_for_a_flush",
    ),
    Mutant(
        "who waits for room waits for the flush to be due",
        "stream/worker/write_behind.py",
        "            self._has_room.clear()\n            self.hurry()",
        "            self._has_room.clear()",
        "tests/stream/test_write_behind_edges.py::test_whoever_waits_for_room_makes_the_flush_due_at_once",
    ),
    Mutant(
        "there is room before the flush is written",
        "stream/worker/write_behind.py",
        "        merged = self._merger.merged(few) if few else {}\n",
        "        merged = self._merger.merged(few) if few else {}\n        self._has_room.set()\n",
        "tests/stream/test_write_behind_edges.py::test_there_is_room_again_when_the_flush_is_written_and_not_before",
    ),
    Mutant(
        "the row of positions does not end a flush",
        "stream/worker/write_behind.py",
        "last = [*self._about(partition, ours), (POSITIONS_KEY, encode_positions(positions))]",
        "last = [(POSITIONS_KEY, encode_positions(positions)), *self._about(partition, ours)]",
        "tests/stream/test_write_behind.py::test_a_flush_writes_rows_then_what_the_table_says_of_itself_and_its_positions_last",
    ),
    Mutant(
        "a refill ends its flush in the middle",
        "stream/worker/write_behind.py",
        "if not ends_flush(row[0]))",
        "if row[0] != POSITIONS_KEY)",
        "tests/stream/test_migrations.py::test_nothing_of_the_flush_that_migrates_a_table_ends_one_before_its_end",
    ),
    Mutant(
        "a new writer writes what came under the old one",
        "stream/worker/write_behind.py",
        "self._ours[partition].writer is pending.writer",
        "True",
        "tests/stream/test_write_behind.py::test_news_is_never_written_by_a_writer_that_was_made_after_it_came",
    ),
    Mutant(
        "a flush of a partition that was given up reaches the table",
        "stream/worker/write_behind.py",
        "        if ours.is_over:\n            return\n",
        "",
        "tests/stream/test_write_behind_edges.py::test_what_is_written_after_a_partition_was_given_up_is_for_its_next_owner_to_read",
    ),
    Mutant(
        "a flush that failed takes the partition from its next writer",
        "stream/worker/write_behind.py",
        "            if self._ours.get(partition) is ours:\n                self.lose",
        "            if True:\n                self.lose",
        "tests/stream/test_write_behind.py::test_a_flush_that_fails_behind_a_take_over_leaves_the_new_writer_its_partition",
    ),
    Mutant(
        "what is being written is not forgotten yet",
        "stream/worker/write_behind.py",
        "(self._flushing.get(partition), self._pending.get(partition))",
        "(self._pending.get(partition),)",
        "tests/stream/test_write_behind.py::test_what_was_forgotten_is_known_while_pending_while_being_written_and_after",
    ),
    Mutant(
        "forgotten polls still take up room",
        "stream/worker/write_behind.py",
        "        self._polls -= len(updates.packed)\n",
        "",
        "tests/stream/test_write_behind_edges.py::test_polls_that_were_forgotten_before_they_were_written_take_up_no_room",
    ),
    Mutant(
        "the second forgetting of a flush counts with its own clock",
        "stream/worker/write_behind.py",
        "stamp if before is None else max(stamp, stamp._replace(timestamp_ms=before.timestamp_ms))",
        "stamp",
        "tests/stream/test_write_behind_edges.py::test_two_forgettings_in_one_flush_count_with_the_later_clock_and_the_later_offset",
    ),
    Mutant(
        "positions move while they are written",
        "stream/worker/write_behind.py",
        "_Pending(ours.writer, dict(ours.taken))",
        "_Pending(ours.writer, ours.taken)",
        "tests/stream/test_write_behind.py::test_positions_are_those_of_the_news_in_the_flush",
    ),
    Mutant(
        "who accepts losses accepts no loss of that millisecond",
        "stream/worker/write_behind.py",
        "loss.noticed_ms > said_ms",
        "loss.noticed_ms >= said_ms",
        "tests/stream/test_write_behind_edges.py::test_who_accepts_losses_accepts_those_of_that_very_millisecond",
    ),
    Mutant(
        "stamps go a day early",
        "stream/worker/write_behind.py",
        "today - stamps.changed_day > _STAMPS_DAYS",
        "today - stamps.changed_day >= _STAMPS_DAYS",
        "tests/stream/test_write_behind_edges.py::test_the_stamps_of_a_forgotten_store_are_kept_for_400_days",
    ),
    Mutant(
        "the high-water mark is that of the last slice",
        "stream/worker/write_behind.py",
        "            high_water.add(each.high_water, each.forgotten)\n            yield each.rows",
        "            high_water = HighWaterKeeper(high_water.stored)\n"
        "            high_water.add(each.high_water, each.forgotten)\n"
        "            yield each.rows",
        "tests/stream/test_write_behind_edges.py::test_each_partition_has_the_mark_of_its_own_stores_whichever_slice_they_are_in",
    ),
    # stream/worker/flush_timing.py
    Mutant(
        "a flush that takes long leaves what came no time",
        "stream/worker/flush_timing.py",
        "if event in _FLUSH_ENDS or before is State.QUIET:",
        "if before is State.QUIET:",
        "tests/stream/test_flush_timing.py",
    ),
    Mutant(
        "while one partition is live, another that catches up is not waited for",
        "stream/worker/flush_timing.py",
        "Event.FLUSH_ENDS_MORE_WAITS: {_Q: _Q, _B: _B, _G: _B, _D: _D}",
        "Event.FLUSH_ENDS_MORE_WAITS: {_Q: _Q, _B: _B, _G: _G, _D: _D}",
        "tests/stream/test_flush_timing.py",
    ),
    # stream/core/wall_hours.py
    Mutant(
        "the rest of a night stays when the night before is special",
        "stream/core/wall_hours.py",
        "belongs_to = np.where(is_rest, weekly.day - 1, weekly.day)",
        "belongs_to = weekly.day",
        "tests/properties/test_hours_over_time.py::test_open_time_uptime_and_what_is_excluded_are_the_oracles",
    ),
    Mutant(
        "a row that ends a second before 23:59 reaches midnight",
        "stream/core/wall_hours.py",
        "_NEAR_MIDNIGHT_US: Final = DAY_US - MINUTE_US",
        "_NEAR_MIDNIGHT_US: Final = DAY_US - MINUTE_US - 1_000_000",
        "tests/core/test_wall_hours.py",
    ),
    Mutant(
        "a dated change derives again from its own day alone",
        "stream/core/wall_hours.py",
        "days = [day - _REACH_DAYS for day in dates]",
        "days = [day + 1 for day in dates]",
        "tests/properties/test_hours_over_time.py::test_a_single_special_day_is_derived_again_wherever_its_date_lies",
    ),
    # stream/worker/high_water.py
    Mutant(
        "the last slice alone says whether to count",
        "stream/worker/high_water.py",
        "self.must_count = self.must_count or forgotten",
        "self.must_count = forgotten",
        "tests/stream/test_high_water.py",
    ),
    # schemas/summaries.py
    Mutant(
        "forgetting the latest poll does not lower the mark",
        "schemas/summaries.py",
        "NO_POLL < other.latest <= self.latest",
        "NO_POLL < other.latest < self.latest",
        "tests/stream/test_high_water.py",
    ),
    # stream/worker/updates.py
    Mutant(
        "hours that stay are not derived again",
        "stream/worker/updates.py",
        "if after != known or updates[store].derives_again:",
        "if after != known:",
        "tests/stream/test_migrations.py::test_a_table_of_another_zone_database_is_derived_again_in_one_flush",
    ),
    Mutant(
        "a week that does not hold is taken",
        "stream/worker/updates.py",
        "hours = said_hours if is_new else UNCHANGED",
        "hours = said_hours",
        "tests/stream/test_topic_reader_edges.py::test_a_stray_week_overrules_only_what_was_written_before_it",
    ),
    Mutant(
        "a forgetting of long ago is forgotten",
        "stream/worker/updates.py",
        "return before if self.forgets is None else forgetting(self.forgets, before)",
        "return before if self.forgets is None else self.forgets",
        "tests/stream/test_write_behind.py::test_a_later_forgetting_counts_with_the_time_of_the_one_before",
    ),
    # stream/worker/merging.py
    Mutant(
        "day blocks are written before their summary",
        "stream/worker/merging.py",
        "rows[partitions[store]].append((key, block))",
        "rows[partitions[store]].insert(0, (key, block))",
        "tests/stream/test_crash_order.py::test_a_store_writes_its_summary_then_day_blocks_that_go_then_those_that_come",
    ),
    Mutant(
        "day blocks are dropped before their summary",
        "stream/worker/merging.py",
        "rows[partitions[store]].append((key, None))",
        "rows[partitions[store]].insert(0, (key, None))",
        "tests/stream/test_crash_order.py::test_whichever_first_rows_survive_a_crash_the_same_updates_again_lead_to_the_same_rows",
    ),
    Mutant(
        "day blocks are forgotten before their summary",
        "stream/worker/merging.py",
        "rows[partitions[store]] += [(key, None) for key in day_blocks_of]",
        "rows[partitions[store]][:0] = [(key, None) for key in day_blocks_of]",
        "tests/stream/test_crash_order.py::test_a_store_that_forgets_drops_all_its_day_blocks_between_its_summary_and_its_new_ones",
    ),
    Mutant(
        "stamps are written before their summary",
        "stream/worker/merging.py",
        "rows[partitions[store]].append(row_of_stamps)",
        "rows[partitions[store]].insert(0, row_of_stamps)",
        "tests/stream/test_crash_order.py::test_whichever_first_rows_survive_a_crash_the_same_updates_again_lead_to_the_same_rows",
    ),
    Mutant(
        "one store of many polls is halved for ever",
        "stream/worker/merging.py",
        "if len(part) > 1 and len(columns",
        "if len(columns",
        "tests/stream/test_crash_order.py::test_one_store_of_more_polls_than_fit_is_merged_all_the_same",
    ),
    Mutant(
        "stored polls do not count where much is merged",
        "stream/worker/merging.py",
        "len(columns.packed) + int(days.rows[:, 1:].sum()) >",
        "len(columns.packed) >",
        "tests/stream/test_crash_order.py::test_slices_of_many_polls_are_halved_until_they_fit_also_where_those_are_stored",
    ),
    Mutant(
        "of a partition in both halves the first is lost",
        "stream/worker/merging.py",
        "one[partition] | rows if partition in one else rows",
        "rows",
        "tests/stream/test_crash_order.py::test_halves_of_one_partition_are_put_together_and_so_are_their_marks",
    ),
    Mutant(
        "every partition reaches as far as all",
        "stream/worker/merging.py",
        "merged.summaries.high_water_of(at == partition)",
        "merged.summaries.high_water",
        "tests/stream/test_crash_order.py::test_stores_of_several_partitions_keep_their_own_rows_stamps_and_marks",
    ),
    Mutant(
        "values of several partitions are mixed up",
        "stream/worker/merging.py",
        "values[place] = value",
        "values[places[partition].index(place)] = value",
        "tests/stream/test_crash_order.py::test_stores_of_several_partitions_keep_their_own_rows_stamps_and_marks",
    ),
    Mutant(
        "a summary of the newest version is written again",
        "stream/worker/merging.py",
        " if value != was\n",
        "\n",
        "tests/stream/test_crash_order.py::test_a_summary_of_the_newest_version_is_not_written_again",
    ),
    # stream/worker/migrations.py
    Mutant(
        "a table of format 1 goes one format on",
        "stream/worker/migrations.py",
        "found <= each.from_",
        "found == each.from_",
        "tests/stream/test_migrations.py::test_an_older_table_becomes_one_of_this_format_in_one_flush",
    ),
    Mutant(
        "a migration that is done is done again",
        "stream/worker/migrations.py",
        "found <= each.from_",
        "found <= each.from_ + 1",
        "tests/stream/test_migrations.py::test_a_table_of_the_newest_format_writes_nothing",
    ),
    Mutant(
        "an empty table is migrated",
        "stream/worker/migrations.py",
        "    if next(rows.all_rows(partition), None) is None:\n        return []\n",
        "",
        "tests/stream/test_migrations.py::test_an_empty_table_writes_nothing",
    ),
    Mutant(
        "a table without stores is derived again",
        "stream/worker/migrations.py",
        "(each.from_ is None and has_summaries and made_with",
        "(each.from_ is None and made_with",
        "tests/stream/test_migrations.py::test_a_table_without_stores_has_nothing_to_derive_again",
    ),
    Mutant(
        "a table that does not say its zone database is not derived again",
        "stream/worker/migrations.py",
        "has_summaries and made_with != each.to",
        "has_summaries and made_with and made_with != each.to",
        "tests/stream/test_migrations.py::test_a_table_of_another_zone_database_is_derived_again_in_one_flush",
    ),
    Mutant(
        "a migrated table reaches as far as its last slice",
        "stream/worker/migrations.py",
        "reached |= part.high_water",
        "reached = part.high_water",
        "tests/stream/test_migrations.py::test_the_mark_of_a_large_table_is_that_of_all_its_stores",
    ),
    Mutant(
        "a migrated table keeps a wrong high-water mark",
        "stream/worker/migrations.py",
        "    yield [(HIGH_WATER_KEY, encode_high_water(reached))]\n",
        "",
        "tests/stream/test_migrations.py::test_a_high_water_mark_that_is_missing_or_wrong_is_counted",
    ),
    Mutant(
        "a table that is derived again does not say so",
        "stream/worker/migrations.py",
        "    yield [(ZONE_DATABASE_KEY, ZONE_DATABASE.encode())]\n",
        "",
        "tests/stream/test_migrations.py::test_a_table_of_another_zone_database_is_derived_again_in_one_flush",
    ),
    # stream/worker/takeover.py
    Mutant(
        "the end is asked for before the others are fenced out",
        "stream/worker/takeover.py",
        "        writers = await self._broker.own(actives)\n"
        "        self._let_in()\n"
        "        try:\n"
        "            ids = await self._broker.topic_ids(_TOPICS)\n"
        "            ends = await self._broker.changelog.ends(actives) if actives else {}\n",
        "        ends = await self._broker.changelog.ends(actives) if actives else {}\n"
        "        writers = await self._broker.own(actives)\n"
        "        self._let_in()\n"
        "        try:\n"
        "            ids = await self._broker.topic_ids(_TOPICS)\n",
        "tests/stream/test_takeover.py::test_first_fence_then_ask_for_the_end_then_restore_then_ask_where_the_topics_begin",
    ),
    Mutant(
        "a table ahead of its changelog by one goes on",
        "stream/worker/takeover.py",
        "(offset >= end or",
        "(offset > end or",
        "tests/stream/test_takeover.py::test_a_table_ahead_of_its_changelog_is_made_again",
    ),
    Mutant(
        "a table that is not whole fills a changelog",
        "stream/worker/takeover.py",
        "stored_offset(table) is None or not is_whole(table)",
        "stored_offset(table) is None",
        "tests/stream/test_takeover.py::test_a_table_that_is_not_whole_fills_no_changelog",
    ),
    Mutant(
        "a changelog that names another is filled",
        "stream/worker/takeover.py",
        "each.key == TOPICS_KEY and decode_topics(each.value).get(CHANGELOG) == changelog_id",
        "each.key == TOPICS_KEY",
        "tests/stream/test_takeover_edges.py::test_a_changelog_that_names_another_one_than_itself_is_filled",
    ),
    Mutant(
        "what was taken in while the broker was asked is a loss",
        "stream/worker/takeover.py",
        "                if is_still\n",
        "                if True\n",
        "tests/stream/test_takeover_edges.py::test_records_that_were_taken_in_while_the_broker_was_asked_are_not_lost",
    ),
    # stream/worker/losses.py
    Mutant(
        "a position at the oldest record is a loss",
        "stream/worker/losses.py",
        "if position < span.first:",
        "if position <= span.first and position:",
        "tests/stream/test_losses.py",
    ),
    # stream/worker/agents.py
    Mutant(
        "a stray loses its timestamp",
        "stream/worker/agents.py",
        "tuple(headers), timestamp_ms)",
        "tuple(headers))",
        "tests/stream/test_topic_reader_edges.py::test_a_stray_keeps_its_timestamp_and_without_one_it_gets_that_of_now",
    ),
    Mutant(
        "a stray without a timestamp is sent with a negative one",
        "stream/worker/agents.py",
        "record.timestamp_ms if record.timestamp_ms >= 0 else None",
        "record.timestamp_ms",
        "tests/stream/test_topic_reader_edges.py::test_a_stray_keeps_its_timestamp_and_without_one_it_gets_that_of_now",
    ),
    Mutant(
        "a stray too large is sent on",
        "stream/worker/agents.py",
        "if _size_of(record.key, record.value, headers) > _MAX_PAYLOAD_BYTES:",
        "if False:",
        "tests/stream/test_topic_reader_edges.py::test_a_stray_that_is_too_large_with_its_stamp_is_a_dead_letter",
    ),
    Mutant(
        "a direct poll of a slow clock is forgotten",
        "stream/worker/agents.py",
        "origin.is_copy and write_behind.is_forgotten",
        "write_behind.is_forgotten",
        "tests/stream/test_topic_reader_edges.py::test_a_poll_behind_a_forgetting_counts_whatever_the_clock_of_its_producer_says",
    ),
    Mutant(
        "a header on any topic accepts losses",
        "stream/worker/agents.py",
        "if self._topic == POLLS and any(name == ACCEPT",
        "if any(name == ACCEPT",
        "tests/stream/test_topic_reader_edges.py::test_the_header_that_accepts_losses_says_so_among_polls_alone",
    ),
    Mutant(
        "a null of a store too long to be known leaves a row",
        "stream/worker/agents.py",
        " or self._write_behind.knows(partition, store_id)",
        " or True",
        "tests/stream/test_topic_reader_edges.py::test_a_null_of_an_id_too_long_that_nobody_knows_leaves_no_row",
    ),
    Mutant(
        "a null of a known store too long is not heard",
        "stream/worker/agents.py",
        " or self._write_behind.knows(partition, store_id)",
        "",
        "tests/stream/test_topic_reader_edges.py::test_a_null_of_an_id_too_long_that_an_older_version_took_is_heeded",
    ),
    # stream/brokers/kafka/broker.py
    Mutant(
        "kafka: dead letters have a transaction of their own",
        "stream/brokers/kafka/broker.py",
        "        last, count, now_ms = None, 0,",
        "        await producer.commit_transaction()\n"
        "        await producer.begin_transaction()\n"
        "        last, count, now_ms = None, 0,",
        "tests/stream/test_one_transaction.py::test_kafka_gets_what_is_for_elsewhere_and_all_rows_in_one_transaction",
    ),
    Mutant(
        "kafka: committed before all records arrived",
        "stream/brokers/kafka/broker.py",
        "        for sent in sending:\n            await sent\n        await producer.commit_transaction()",
        "        await producer.commit_transaction()\n        for sent in sending:\n            await sent",
        "tests/stream/test_one_transaction.py::test_kafka_commits_nothing_before_letters_strays_and_rows_have_all_arrived",
    ),
    Mutant(
        "kafka: a stray is sent with a timestamp of now",
        "stream/brokers/kafka/broker.py",
        "                timestamp_ms=each.timestamp_ms,\n",
        "",
        "tests/stream/test_one_transaction.py::test_kafka_is_told_partition_time_and_headers_of_what_goes_elsewhere",
    ),
    Mutant(
        "kafka: the offset of a flush is that of its last row",
        "stream/brokers/kafka/broker.py",
        "return int((await last).offset + count)",
        "return int((await last).offset + count - 1)",
        "tests/stream/test_one_transaction.py::test_a_flush_on_kafka_takes_up_its_rows_and_the_marker_of_its_transaction",
    ),
    # stream/brokers/embedded/broker.py
    Mutant(
        "embedded: dead letters are written before the flush",
        "stream/brokers/embedded/broker.py",
        "        records = [self._elsewhere(each, now_ms) for each in outgoing]\n",
        "        records = [self._elsewhere(each, now_ms) for each in outgoing]\n"
        "        if records:\n"
        "            await self._thread.submit(partial(_append, records, {}))\n"
        "            records = []\n",
        "tests/stream/test_one_transaction.py::test_rows_that_cannot_be_made_leave_the_log_as_it_was",
    ),
    Mutant(
        "embedded: positions are committed apart",
        "stream/brokers/embedded/broker.py",
        "partial(_append, records, commits))",
        "partial(_append, records, {}))",
        "tests/stream/test_one_transaction.py::test_the_log_gets_what_is_for_elsewhere_rows_and_positions_at_once",
    ),
    Mutant(
        "embedded: a stray gets a timestamp of now",
        "stream/brokers/embedded/broker.py",
        "now_ms if each.timestamp_ms is None else each.timestamp_ms",
        "now_ms",
        "tests/stream/test_one_transaction.py::test_the_log_gets_what_is_for_elsewhere_rows_and_positions_at_once",
    ),
    # stream/tables/follower.py
    Mutant(
        "offsets missing at the end of a read are no hole",
        "stream/tables/follower.py",
        "return has_hole or stretch.position > may_begin_at, max(",
        "return has_hole, max(",
        "tests/stream/test_follower.py::test_offsets_without_a_record_at_the_end_of_a_read_are_a_hole_too",
    ),
    Mutant(
        "a table is whole in the middle of a flush",
        "stream/tables/follower.py",
        "and (is_final or not each.is_torn):",
        ":",
        "tests/stream/test_follower.py::test_a_large_flush_that_a_restore_began_in_the_middle_of_is_applied_before_the_table_is_whole",
    ),
    Mutant(
        "a table is whole while rows are held back",
        "stream/tables/follower.py",
        "if has_all and not each.held and (",
        "if has_all and (",
        "tests/stream/test_follower_edges.py::test_a_table_is_not_whole_while_rows_of_it_are_held_back",
    ),
    Mutant(
        "a restore holds back whatever comes",
        "stream/tables/follower.py",
        "(has_all and is_final) or is_full",
        "(has_all and is_final)",
        "tests/stream/test_follower_edges.py::test_a_flush_larger_than_may_be_held_is_applied_by_a_restore_before_it_ends",
    ),
    Mutant(
        "a follower applies rows whose flush has not ended",
        "stream/tables/follower.py",
        "            each.apply(ended)\n            return",
        "            each.apply(len(each.held))\n            return",
        "tests/stream/test_follower.py::test_a_follower_holds_rows_back_until_the_row_that_ends_their_flush",
    ),
    Mutant(
        "a restore asks for less than all",
        "stream/tables/follower.py",
        "        self._ends = self._reader.ends\n        await",
        "        self._ends = self._reader.readable_ends\n        await",
        "tests/stream/test_follower.py::test_a_whole_table_that_is_behind_is_not_whole_until_it_is_at_the_end",
    ),
    Mutant(
        "a changelog that is cut goes unnoticed",
        "stream/tables/follower.py",
        "            if stretch.position < each.position:\n"
        "                raise ChangelogCut(stretch.partition, each.position)\n",
        "",
        "tests/stream/test_follower_edges.py::test_a_changelog_that_ends_before_what_was_read_of_it_ends_the_follower",
    ),
    Mutant(
        "a table that lacks rows is noted as complete",
        "stream/tables/follower.py",
        "each.target is None and not each.held and each.position >= ends[partition]",
        "each.target is None and not each.held",
        "tests/stream/test_follower_edges.py::test_a_table_that_has_not_all_is_not_noted_as_complete",
    ),
    Mutant(
        "a table that holds rows back is noted as complete",
        "stream/tables/follower.py",
        "each.target is None and not each.held and each.position >= ends[partition]",
        "each.target is None and each.position >= ends[partition]",
        "tests/stream/test_follower_edges.py::test_a_table_that_has_not_all_is_not_noted_as_complete",
    ),
    Mutant(
        "a table is read again from its last row",
        "stream/tables/follower.py",
        "position = 0 if offset is None else offset + 1",
        "position = 0 if offset is None else offset",
        "tests/stream/test_follower_edges.py::test_rows_that_are_in_the_table_are_not_read_again",
    ),
    Mutant(
        "a deleted row of positions ends a flush",
        "stream/tables/follower.py",
        'record.value is not None and ends_flush(record.key or b"")',
        'ends_flush(record.key or b"")',
        "tests/stream/test_follower_edges.py::test_a_row_of_positions_of_format_1_ends_a_flush_and_its_deletion_does_not",
    ),
    # stream/tables/rocks.py
    Mutant(
        "every restore makes a table young",
        "stream/tables/rocks.py",
        "    if stored_offset(table) is None:\n        batch",
        "    if True:\n        batch",
        "tests/stream/test_rocks.py::test_a_later_restore_makes_a_table_no_younger_before_it_ends",
    ),
    Mutant(
        "a whole table is at the next offset",
        "stream/tables/rocks.py",
        "str(reached - 1).encode()",
        "str(reached).encode()",
        "tests/stream/test_rocks.py::test_a_table_is_whole_from_the_end_of_a_restore_to_the_beginning_of_the_next",
    ),
    # schemas/rows/kinds.py
    Mutant(
        "the deletion of an unknown row is one of ours",
        "schemas/rows/kinds.py",
        "    kind = kind_of(key)\n"
        "    if kind is None:\n"
        "        raise UnknownRow(key)\n"
        "    if value is None:\n"
        "        return\n",
        "    kind = kind_of(key)\n"
        "    if value is None:\n"
        "        return\n"
        "    if kind is None:\n"
        "        raise UnknownRow(key)\n",
        "tests/core/test_table_format.py::test_a_row_of_an_unknown_kind_is_newer_and_never_malformed",
    ),
    # schemas/rows/summaries.py
    Mutant(
        "a summary longer than its header says is one",
        "schemas/rows/summaries.py",
        "len(value) != _size(value)",
        "len(value) < _size(value)",
        "tests/core/test_rows_edges.py::test_a_summary_of_another_size_than_its_header_says_is_malformed",
    ),
    # schemas/rows/day_blocks.py
    Mutant(
        "keys of day blocks do not ascend by day",
        "schemas/rows/day_blocks.py",
        'day.to_bytes(4, "big")',
        'day.to_bytes(4, "little")',
        "tests/core/test_rows_edges.py::test_the_key_of_a_day_block_is_these_bytes_and_ascends_by_day",
    ),
    Mutant(
        "the prefix of a store is that of longer ids too",
        "schemas/rows/day_blocks.py",
        'DAY_BLOCK_PREFIX + store_id.encode() + b"\\0"',
        "DAY_BLOCK_PREFIX + store_id.encode()",
        "tests/core/test_rows_edges.py::test_what_day_blocks_of_a_store_begin_with_no_key_of_another_does",
    ),
    # schemas/rows/stamps.py
    Mutant(
        "the floors of hours and zone are mixed up",
        "schemas/rows/stamps.py",
        "Held(Stamp(*fields[0:3]), fields[3]), Held(Stamp(*fields[4:7]), fields[7])",
        "Held(Stamp(*fields[0:3]), fields[7]), Held(Stamp(*fields[4:7]), fields[3])",
        "tests/core/test_stamps.py::test_what_version_1_wrote_is_read_for_ever",
    ),
    # schemas/rows/table_format.py
    Mutant(
        "a table without a format is of the newest",
        "schemas/rows/table_format.py",
        "        return 1\n",
        "        return TABLE_FORMAT\n",
        "tests/core/test_table_format.py::test_a_table_without_the_row_is_of_format_1_and_a_newer_one_is_refused",
    ),
    # schemas/rows/positions.py
    Mutant(
        "rows of format 1 outweigh the one row",
        "schemas/rows/positions.py",
        "    if value is not None:\n        return msgspec",
        "    if value is not None and get(applied_key(SOURCES[0].name)) is None:\n        return msgspec",
        "tests/core/test_rows_edges.py::test_where_rows_of_positions_of_both_formats_stand_the_one_row_counts",
    ),
    # schemas/stamps.py
    Mutant(
        "a direct record counts with its own clock",
        "schemas/stamps.py",
        "self.direct = stamp._replace(timestamp_ms=max(before_ms, stamp.timestamp_ms)), value",
        "self.direct = stamp, value",
        "tests/core/test_stamps_edges.py::test_a_direct_record_of_a_slow_clock_counts_with_the_time_of_the_one_before_it",
    ),
    Mutant(
        "the last copy holds",
        "schemas/stamps.py",
        "if self.stray is None or stamp > self.stray[0]:",
        "if True:",
        "tests/core/test_stamps_edges.py::test_of_copies_that_come_at_once_the_one_written_last_holds_in_whichever_order",
    ),
    Mutant(
        "a copy raises the floor of direct records",
        "schemas/stamps.py",
        "replace(held, stamp=self.stray[0]), self.stray[1], True",
        "Held(self.stray[0], self.stray[0].timestamp_ms), self.stray[1], True",
        "tests/core/test_stamps_edges.py::test_a_copy_that_holds_makes_no_direct_record_later_than_it_is",
    ),
    Mutant(
        "a stamp without a timestamp is none of ours",
        "schemas/stamps.py",
        "stamp.timestamp_ms >= -1",
        "stamp.timestamp_ms >= 0",
        "tests/core/test_stamps_edges.py::test_a_record_without_a_timestamp_has_a_stamp_all_the_same",
    ),
    # query_api/snapshots/standing.py
    Mutant(
        "the broker outweighs the tables",
        "query_api/snapshots/standing.py",
        "return max((count for count in (*said, self.expected) if count), default=None)",
        "return self.expected or max((count for count in said if count), default=None)",
        "tests/query_api/test_standing_edges.py::test_there_must_be_as_many_partitions_as_the_broker_or_any_table_says",
    ),
    Mutant(
        "nobody knows how many partitions and all is whole",
        "query_api/snapshots/standing.py",
        "return self.partitions is not None and not self.unfinished",
        "return not self.unfinished",
        "tests/query_api/test_standing_edges.py::test_while_nobody_says_how_many_partitions_there_are_nothing_is_whole",
    ),
    # query_api/snapshots/scans.py
    Mutant(
        "rows are handed out before all partitions came so far",
        "query_api/snapshots/scans.py",
        "bound = min((scan.keys[-1]",
        "bound = max((scan.keys[-1]",
        "tests/query_api/test_reader.py::test_stores_come_in_the_order_of_their_ids_bytes_whatever_the_partitions_and_chunks",
    ),
)
