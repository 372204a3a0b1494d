"""A finished run as one self-contained HTML page, or as an SVG of its day."""

from eventbus.chains.report.page import page, picture
from eventbus.chains.report.run import Pace, RunReport

__all__ = ["Pace", "RunReport", "page", "picture"]
