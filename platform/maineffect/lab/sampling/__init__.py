"""sampling: a policy and episodes come in → transcripts with their log-probabilities go out → train is next."""
