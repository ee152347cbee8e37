"""inference: estimates and p values come in → adjusted ones, equivalence, pseudo standard errors go out; procedures
that know no table → fit is next.
"""
