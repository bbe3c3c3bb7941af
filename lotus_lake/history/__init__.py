"""What a table said at an earlier moment, and which deliveries made it say what it says now.

Nothing is guessed from times: the lake's snapshots hold the rows, each with the run that made it in
its commit message; a model's positions say which state of its inputs it had read; and the feeder's
ledger says which files came in between two states of a stream.
"""
