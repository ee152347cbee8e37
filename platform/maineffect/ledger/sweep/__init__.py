"""sweep: a plan comes in → the sweep in the store: who claims a run, its results as a table, looks, repairs → analyse
is next.
"""
