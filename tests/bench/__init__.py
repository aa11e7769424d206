"""Speed against the named peers, as ratios taken in one run. Each module here yields the rows of one room."""
