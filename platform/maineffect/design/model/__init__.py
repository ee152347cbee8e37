"""model: factors and cells come in → the Design, its terms and its model matrix go out; the one model for design,
power and analysis → search and kinds are next.
"""
