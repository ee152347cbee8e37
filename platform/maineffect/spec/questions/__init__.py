"""What a study asks beyond the effects of its factors: a target distribution, other sizes → spec.study."""
