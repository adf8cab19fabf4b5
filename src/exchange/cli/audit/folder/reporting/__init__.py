"""The report as a page: markup that can not be broken out of, charts, sections."""
