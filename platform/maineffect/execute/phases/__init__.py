"""What runs of a sweep stand on: a plan of runs → the runs that come before them → the driver (drive)."""
