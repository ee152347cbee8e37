"""policy: text comes in → sampled actions and log-probabilities go out → train is next."""
