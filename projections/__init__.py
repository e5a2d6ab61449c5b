"""What is kept: read models, each a pure fold of events into rows, with positions that make it exact.

No Kafka, no HTTP, no torch. `evolve` modules are pure; `writer` is the one shape of transaction; `reading` the one
shape of answer.
"""
