"""The published copy of the lake's marts in a plain PostgreSQL database, for BI tools.

A table is published where its model says ``meta: {publish: true}``, and so is every saved query of
the metrics. One transaction takes all of them from one snapshot of the lake to the next, and writes
only what changed. ``marts.published`` says what is there, and of which snapshot.
"""
