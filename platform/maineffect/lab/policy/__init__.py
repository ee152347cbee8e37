"""policy: tokens come in → hidden states and log-probabilities go out → sampling and train are next."""
