"""simulation: a study comes in → error rates, coverage and power of its own analysis, by simulation, go out → the
reader is next.
"""
