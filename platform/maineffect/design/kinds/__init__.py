"""kinds: a design request comes in → the cells of one kind of design go out → build is next."""
