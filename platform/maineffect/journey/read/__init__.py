"""read: a sweep comes in → its logs, its analysis, its report and how good its measurement is."""
