"""attempt: one attempt of a run comes in → its curves, output, result and commit, each exactly once, go out →
sweep is next.
"""
