"""fit: a table and a model come in → estimates, standard errors, degrees of freedom and tests of one response go out
→ confirmatory and exploratory are next.
"""
