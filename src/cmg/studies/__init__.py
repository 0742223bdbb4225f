"""Named studies: several configurations, several seeds each, one table and one plot."""
