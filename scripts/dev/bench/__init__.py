"""Measuring storepulse beside the alternatives that a user has: `python -m scripts.dev.bench`.

Owns: what is measured, how, and the peers (scripts.dev.bench.peers). Must not know: how the product does it; it is
run as its users run it, as commands.

    __main__ ──┬──▶ parts: reports, bulk, backlog, live, sizes, kafka, million, growth
               └──▶ beside ──▶ backlog, live, kafka: another revision of storepulse, by turns with this one
                   │
                   ├──▶ rows, compared   what a row of the table is, and its target
                   ├──▶ service          storepulse as processes, its HTTP API
                   ├──▶ revision         which storepulse that is
                   ├──▶ visible          how soon a poll can be read
                   ├──▶ plot             the curves of growth, as docs/growth.svg
                   └──▶ peer ──▶ peers   the alternatives, each a small program
"""
