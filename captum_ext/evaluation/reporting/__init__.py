"""From rows of results to a report: estimates with intervals, tables, figures."""
