"""plan: a study file comes in → a checked study, its work orders and its power go out → run is next."""
