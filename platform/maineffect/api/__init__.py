"""The journey from Python: studies, sweeps and results as objects whose tables are pandas DataFrames.

    study = Study.from_yaml("study.yaml")
    sweep = study.submit()
    sweep.analyse().effects

Every method calls the function of :mod:`maineffect.study` that the command line calls, so both give the same numbers,
the same records and the same errors.
"""
