"""search: candidate cells and a criterion come in → the best set that an exchange finds, with a bound, goes out →
kinds is next.
"""
