"""gpu_check: a model folder comes in → fifteen checks of this machine's GPU with their numbers go out.

A composer, as the command line is: the checks call the lab's own functions and submit whole sweeps, which no stage may
do. Checks run in processes of their own, so that one that is killed for want of memory fails alone.
"""
