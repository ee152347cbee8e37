"""evaluate: a trained policy comes in → item-level scores and responses go out → the run's result is next."""
