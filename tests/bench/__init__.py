"""Speed against the named peers, as ratios taken in one run. Each module beside this one yields the rows of one room."""
