"""Facts about what Faust's queues hold after a rebalance."""

from mode.utils.queues import FlowControlQueue

from stream.brokers.drain import KeepingFlow


def test_resuming_a_suspended_flow_drops_what_came_before() -> None:
    flow = KeepingFlow()
    queue = FlowControlQueue[int](flow_control=flow, clear_on_resume=True)
    queue.force_put_nowait(1)
    flow.resume()
    assert queue.empty()


def test_resuming_an_active_flow_drops_nothing() -> None:
    """As Faust does when recovery ends: records may have come since it began."""
    flow = KeepingFlow()
    queue = FlowControlQueue[int](flow_control=flow, clear_on_resume=True)
    flow.resume()
    queue.force_put_nowait(1)
    flow.resume()
    assert queue.get_nowait() == 1


def test_a_suspended_flow_is_resumed_as_faust_does() -> None:
    flow = KeepingFlow()
    flow.resume()
    assert flow.is_active()
    flow.suspend()
    assert not flow.is_active()
    flow.resume()
    assert flow.is_active()
