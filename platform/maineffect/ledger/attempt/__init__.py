"""attempt: one attempt of a run comes in → its claim, curves, result and commit, each exactly once, go out → sweep
is next.
"""
