"""Chaos: rounds of faults made from a seed, on real processes and a real broker, with the oracle as judge.

story     seed → what is sent and what goes wrong, as values (actions, sending, faults)
world     performs it: processes, proxies, broker (proxy, teller)
looks     asks for reports all the time, of every view
tape      reads the source topics back, read_committed
meaning   what those records mean by rules 3, in the plainest way
judge     every look, and every view at the end, against tests.oracle over that meaning
"""
