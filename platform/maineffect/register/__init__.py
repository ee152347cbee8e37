"""register: a Design comes in → a frozen plan with its hash goes out → execute is next."""
