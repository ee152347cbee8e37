"""sweep: a plan comes in → the sweep in the store: its runs, its results as a table, interim looks, repairs →
analyse is next.
"""
