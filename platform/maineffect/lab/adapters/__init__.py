"""adapters: the search world goes out to Gymnasium, TRL and verifiers; other people's environments come in → train.

One core environment, thin adapters. No adapter is imported by another part of the lab, and importing this package loads
none of the libraries that it adapts to.
"""
