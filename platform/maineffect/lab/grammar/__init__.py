"""grammar: what people and policies write comes in → actions, answers and values that can be compared go out → world is
next.
"""
