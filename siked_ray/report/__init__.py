"""What people and scripts read of a run: summary.json, the table on the screen, report.html."""
