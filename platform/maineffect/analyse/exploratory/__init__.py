"""exploratory: fits, curves and items come in → everything that was not registered, labelled so, goes out →
exploratory_report is next.
"""
