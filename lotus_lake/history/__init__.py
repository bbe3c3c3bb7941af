"""What a table said at an earlier moment, and which deliveries made it say what it says now.

The lake remembers all that is needed: its snapshots hold the table's rows, the position of each
model says which state of its inputs it had read, and the feeder's ledger says which files came in
between two states of a stream. So nothing is guessed from times.
"""
