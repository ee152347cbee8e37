"""examine: a policy comes in → what it scores in every regime, and again under other sampling, goes out → agent is
next.
"""
