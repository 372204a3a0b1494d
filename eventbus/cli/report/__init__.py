"""`--report`: a run as one self-contained page, with a chart and a table for everything that is counted."""
